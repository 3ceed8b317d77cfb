import { keyIsRowid, keyNames, type MirrorTable, ROWID_COLUMN, searchTableName } from './mirror-table.ts';
import { nameList, quoteName, quoteText } from './sql.ts';

/**
 * An external-content FTS5 table: it holds only the index, and reads the text from the mirror. The triggers are those of
 * https://www.sqlite.org/fts5.html#external_content_tables, with the update limited to what the index knows of.
 */
export function createSearchSql(table: MirrorTable): string[] {
  const { name, search } = table;
  if (search === undefined) return [];
  const rowid = rowidColumn(table);
  const index = quoteName(searchTableName(name));
  const options = [
    `content=${quoteText(name)}`,
    `content_rowid=${quoteText(rowid)}`,
    `tokenize=${quoteText(search.tokenizer)}`,
  ];
  return [
    `CREATE VIRTUAL TABLE ${index} USING fts5(${nameList(search.columns)}, ${options.join(', ')})`,
    ...createTriggersSql(table),
    rebuildSearchSql(name),
  ];
}

export function createTriggersSql(table: MirrorTable): string[] {
  const { name, search } = table;
  if (search === undefined) return [];
  const on = quoteName(name);
  const index = quoteName(searchTableName(name));
  const rowid = quoteName(rowidColumn(table));
  const columns = search.columns.map(quoteName);
  const of = (row: 'old' | 'new'): string => columns.map((column) => `${row}.${column}`).join(', ');
  const add = `INSERT INTO ${index} (rowid, ${columns.join(', ')}) VALUES (new.${rowid}, ${of('new')});`;
  const remove = `INSERT INTO ${index} (${index}, rowid, ${columns.join(', ')}) VALUES ('delete', old.${rowid}, ${of('old')});`;
  const changed = [rowid, ...columns].map((column) => `old.${column} IS NOT new.${column}`).join(' OR ');
  const [inserted, deleted, updated] = triggerNames(name).map(quoteName);
  return [
    `CREATE TRIGGER ${inserted} AFTER INSERT ON ${on} BEGIN ${add} END`,
    `CREATE TRIGGER ${deleted} AFTER DELETE ON ${on} BEGIN ${remove} END`,
    `CREATE TRIGGER ${updated} AFTER UPDATE ON ${on} WHEN ${changed} BEGIN ${remove} ${add} END`,
  ];
}

/** By the stored name: the table may be gone or be named otherwise already. */
export function dropSearchSql(name: string): string[] {
  return [...dropTriggersSql(name), `DROP TABLE IF EXISTS ${quoteName(searchTableName(name))}`];
}

export function dropTriggersSql(name: string): string[] {
  return triggerNames(name).map((trigger) => `DROP TRIGGER IF EXISTS ${quoteName(trigger)}`);
}

export function clearSearchSql(name: string): string {
  const index = quoteName(searchTableName(name));
  return `INSERT INTO ${index} (${index}) VALUES ('delete-all')`;
}

function rebuildSearchSql(name: string): string {
  const index = quoteName(searchTableName(name));
  return `INSERT INTO ${index} (${index}) VALUES ('rebuild')`;
}

function triggerNames(name: string): [string, string, string] {
  return [`_tailrace_ai_${name}`, `_tailrace_ad_${name}`, `_tailrace_au_${name}`];
}

function rowidColumn(table: MirrorTable): string {
  return keyIsRowid(table) ? (keyNames(table)[0] as string) : ROWID_COLUMN;
}
