import { foldCase } from './sql.ts';
import type { Storage } from './storage.ts';

/** One column of a mirror. */
export interface MirrorColumn {
  readonly name: string;
  /** pg_attribute.attnum: what stays when the column is renamed; 0 when unknown. */
  readonly attnum: number;
  readonly storage: Storage;
  /** See `typeFamily`. */
  readonly family: string;
}

/**
 * Full-text search over some columns of a mirror. The index stands beside the table as `<table>_search` and is kept by triggers.
 * https://www.sqlite.org/fts5.html
 */
export interface SearchDefinition {
  readonly columns: readonly string[];
  /** FTS5's `tokenize` option. */
  readonly tokenizer: string;
}

/** A mirror as one version of its source table asks for it. Plain data: it crosses to the worker as it is. */
export interface MirrorTable {
  readonly name: string;
  /** `public.orders`. */
  readonly source: string;
  readonly oid: number;
  /** The template the name was made from: with the oid, what identifies a mirror across renames of its source table. */
  readonly template: string;
  readonly columns: readonly MirrorColumn[];
  /** Indices into `columns`; empty: rows have no key and are matched whole (replica identity full). */
  readonly key: readonly number[];
  /** Old images are whole rows: a row that is not where the log says it is can then be told from a row that never was here. */
  readonly wholeImages: boolean;
  /** The highest attnum of the source table, of columns that are not mirrored too. */
  readonly maxAttnum: number;
  readonly search?: SearchDefinition | undefined;
}

/** Column that gives rows a lasting number for the search index, where the key is not itself one. */
export const ROWID_COLUMN = '_tailrace_rowid';

/** Every table, trigger and index of ours that is not a mirror or its search index begins like this. */
export const RESERVED_PREFIX = '_tailrace_';

/** The key is SQLite's own row number: one INTEGER column. https://www.sqlite.org/lang_createtable.html#rowid */
export function keyIsRowid(table: MirrorTable): boolean {
  return table.key.length === 1 && table.columns[table.key[0] as number]?.storage === 'integer';
}

/**
 * FTS5 names rows by number, and VACUUM may renumber rows that have no INTEGER PRIMARY KEY. Rows without key are named by number
 * too, within one statement.
 */
export function needsRowidColumn(table: MirrorTable): boolean {
  if (keyIsRowid(table)) return false;
  return table.search !== undefined || (table.key.length === 0 && freeRowidAlias(table) === undefined);
}

/** What a statement calls the number of a row. */
export function rowidName(table: MirrorTable): string {
  return freeRowidAlias(table) ?? ROWID_COLUMN;
}

/** SQLite has three names for it, and columns may hide them. https://www.sqlite.org/lang_createtable.html#rowid */
function freeRowidAlias(table: MirrorTable): string | undefined {
  const taken = new Set(table.columns.map(({ name }) => foldCase(name)));
  return ['rowid', '_rowid_', 'oid'].find((name) => !taken.has(name));
}

export function keyNames(table: MirrorTable): string[] {
  return table.key.map((i) => (table.columns[i] as MirrorColumn).name);
}

export function searchTableName(name: string): string {
  return `${name}_search`;
}
