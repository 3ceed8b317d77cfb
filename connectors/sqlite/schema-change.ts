import { keyNames, type MirrorColumn, type MirrorTable, needsRowidColumn } from './mirror-table.ts';
import { foldCase } from './sql.ts';
import type { StoredColumn, StoredMirror } from './stored-mirror.ts';

/** How a mirror's columns get from what is there to what a relation version asks for, in this order. */
export interface SchemaChange {
  readonly drop: readonly string[];
  readonly rename: readonly { readonly from: string; readonly to: string }[];
  readonly add: readonly MirrorColumn[];
  /** The search index has to be made anew, before and after the columns change. */
  readonly search: boolean;
  /** Rows need lasting numbers that the table was made without. */
  readonly addRowidColumn: boolean;
}

/** Why a mirror cannot follow its source table. */
export interface Incompatible {
  readonly finding: string;
}

/** Undefined: nothing to do. Pure: https://www.sqlite.org/lang_altertable.html says what can be done. */
export function planSchemaChange(
  stored: StoredMirror,
  wanted: MirrorTable,
): SchemaChange | Incompatible | undefined {
  const left = new Map(stored.columns.map((column) => [column.name, column]));
  const rename: { from: string; to: string }[] = [];
  const add: MirrorColumn[] = [];
  for (const column of wanted.columns) {
    const was = matching(stored.columns, column);
    if (was === undefined) {
      if (column.attnum !== 0 && column.attnum <= stored.maxAttnum) {
        return {
          finding: `column ${column.name} was not mirrored before: the rows that are here lack its values`,
        };
      }
      add.push(column);
      continue;
    }
    left.delete(was.name);
    if (was.family !== column.family) {
      return {
        finding: `column ${column.name} changed its type from ${was.family} to ${column.family}: the server rewrote its values without sending them`,
      };
    }
    if (was.name !== column.name) rename.push({ from: was.name, to: column.name });
  }
  const renamed = new Map(rename.map(({ from, to }) => [from, to]));
  const key = stored.key.map((name) => renamed.get(name) ?? name);
  if (!sameList(key, keyNames(wanted))) {
    return { finding: `the key changed from (${key.join(', ')}) to (${keyNames(wanted).join(', ')})` };
  }
  const drop = [...left.keys()];
  const search = !sameSearch(stored.search, wanted.search);
  const touched = (names: readonly string[]): boolean =>
    stored.search?.columns.some((name) => names.includes(name)) ?? false;
  const change: SchemaChange = {
    drop,
    rename: withoutClashes(rename),
    add,
    search: search || touched(drop) || touched(rename.map(({ from }) => from)),
    addRowidColumn: needsRowidColumn(wanted) && !stored.hasRowidColumn,
  };
  const nothing = drop.length + rename.length + add.length === 0 && !change.search && !change.addRowidColumn;
  return nothing ? undefined : change;
}

function matching(columns: readonly StoredColumn[], wanted: MirrorColumn): StoredColumn | undefined {
  const byNumber = wanted.attnum === 0 ? undefined : columns.find(({ attnum }) => attnum === wanted.attnum);
  return (
    byNumber ??
    columns.find(({ name, attnum }) => name === wanted.name && (attnum === 0 || wanted.attnum === 0))
  );
}

/** Two columns that exchange their names meet on the way: all go through names of their own. */
function withoutClashes(
  renames: readonly { readonly from: string; readonly to: string }[],
): { from: string; to: string }[] {
  const sources = new Set(renames.map(({ from }) => foldCase(from)));
  const clash = renames.some(({ from, to }) => foldCase(from) !== foldCase(to) && sources.has(foldCase(to)));
  if (!clash) return [...renames];
  const between = (i: number): string => `_tailrace_renamed_${i}`;
  return [
    ...renames.map(({ from }, i) => ({ from, to: between(i) })),
    ...renames.map(({ to }, i) => ({ from: between(i), to })),
  ];
}

function sameSearch(a: StoredMirror['search'], b: MirrorTable['search']): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.tokenizer === b.tokenizer && sameList(a.columns, b.columns);
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}
