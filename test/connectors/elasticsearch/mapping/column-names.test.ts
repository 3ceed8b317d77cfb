import { expect, test } from 'vitest';
import { columnNameProblem } from '../../../../connectors/elasticsearch/mapping/column-names.ts';

test.each([
  [['id', 'name', 'a.b', 'A.b', '$x', '_own', '__proto__'], undefined],
  [['id', '_id'], 'column "_id" has the name of a metadata field'],
  [['a', 'a.b'], 'column "a.b" would be a field inside of column "a"'],
  [['a.b.c', 'a.b'], 'column "a.b.c" would be a field inside of column "a.b"'],
  [['a..b'], 'column "a..b" has an empty step'],
  [['.a'], 'column ".a" has an empty step'],
  [[' '], 'column " " has an empty step'],
] as const)('%j', (names, problem) => {
  const found = columnNameProblem(names);
  if (problem === undefined) expect(found).toBeUndefined();
  else expect(found).toContain(problem);
});
