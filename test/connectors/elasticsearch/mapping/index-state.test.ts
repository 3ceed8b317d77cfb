import { expect, test } from 'vitest';
import { pathParts } from '../../../../connectors/elasticsearch/mapping/index-state.ts';

test('many names go into few request lines, none too long for the server', () => {
  const names = Array.from({ length: 1000 }, (_, i) => `größe-${i}-${'x'.repeat(i % 200)}`);
  const parts = pathParts(names);
  expect(parts.length).toBeLessThan(60);
  for (const part of parts) expect(part.length).toBeLessThan(4000);
  expect(parts.join(',').split(',').map(decodeURIComponent)).toEqual(names);
  expect(pathParts([])).toEqual([]);
});
