import type { DatabaseSync } from 'node:sqlite';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import {
  keyNames,
  type MirrorTable,
  needsRowidColumn,
  ROWID_COLUMN,
  searchTableName,
} from './mirror-table.ts';
import { planSchemaChange, type SchemaChange } from './schema-change.ts';
import { createSearchSql, dropSearchSql } from './search-index.ts';
import { nameList, quoteName } from './sql.ts';
import { declaredType } from './storage.ts';
import { readMirror, readMirrorOf, removeMirror, type StoredMirror, storeMirror } from './stored-mirror.ts';

/** Whose position and tables these are. */
export interface Owner {
  readonly pipeline: string;
  readonly sink: string;
}

/** What became of a mirror; for the log. */
export type Reconciled = 'unchanged' | 'created' | 'changed' | 'renamed' | 'recreated';

/**
 * Brings a mirror to the shape its next events were written under. Runs inside the transaction that writes those events, so that
 * rows, shape and position never disagree. Throws E_SINK_FOREIGN and E_SINK_CONFIG.
 */
export function reconcileSchema(db: DatabaseSync, owner: Owner, table: MirrorTable): Reconciled {
  const stored = readMirror(db, table.name);
  if (stored === undefined) {
    const former = readMirrorOf(db, { ...owner, oid: table.oid, template: table.template });
    assertNameIsFree(db, table.name);
    if (former === undefined) {
      create(db, owner, table);
      return 'created';
    }
    // The same table under a new name: what it holds goes with it.
    run(db, [
      ...dropSearchSql(former.name),
      `ALTER TABLE ${quoteName(former.name)} RENAME TO ${quoteName(table.name)}`,
      ...dropMatchIndexSql(former.name),
    ]);
    removeMirror(db, former.name);
    change(db, owner, table, { ...former, name: table.name, search: undefined });
    run(db, createMatchIndexSql(table));
    return 'renamed';
  }
  if (stored.pipeline !== owner.pipeline || stored.sink !== owner.sink) {
    throw new TailraceError({
      code: 'E_SINK_FOREIGN',
      message: `Table ${table.name} is the mirror of ${stored.source} kept by sink ${stored.sink} of pipeline ${stored.pipeline}.`,
      fix: 'Give the mapping another `table`, or the sink another `path`.',
    });
  }
  if (stored.oid !== table.oid) {
    if (stored.source !== table.source) throw twoSources(stored, table);
    // Dropped and created again: its rows went with the old one, without an event for each.
    run(db, [...dropSearchSql(stored.name), `DROP TABLE IF EXISTS ${quoteName(stored.name)}`]);
    create(db, owner, table);
    return 'recreated';
  }
  return change(db, owner, table, stored) ? 'changed' : 'unchanged';
}

function create(db: DatabaseSync, owner: Owner, table: MirrorTable): void {
  run(db, [createTableSql(table, table.name), ...createMatchIndexSql(table), ...createSearchSql(table)]);
  storeMirror(db, storedForm(owner, table, needsRowidColumn(table)));
}

function change(db: DatabaseSync, owner: Owner, asked: MirrorTable, stored: StoredMirror): boolean {
  const table = withKnownNumbers(asked, stored);
  const plan = planSchemaChange(stored, table);
  if (plan !== undefined && 'finding' in plan) {
    throw new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `The mirror ${table.name} cannot follow ${table.source}: ${plan.finding}.`,
      fix: 'Move the file away: the sink then begins anew with the oldest change in the event log.',
    });
  }
  const hasRowidColumn = stored.hasRowidColumn || plan?.addRowidColumn === true;
  const wanted = storedForm(owner, table, hasRowidColumn);
  if (plan === undefined) {
    if (JSON.stringify(wanted) === JSON.stringify(stored)) return false;
  } else {
    run(db, changeSql(table, plan));
  }
  storeMirror(db, wanted);
  return plan !== undefined;
}

/** A column that was gone again when the source looked it up comes without its number: the one known from before holds. */
function withKnownNumbers(table: MirrorTable, stored: StoredMirror): MirrorTable {
  if (table.columns.every(({ attnum }) => attnum !== 0)) return table;
  const known = new Map(stored.columns.map(({ name, attnum }) => [name, attnum]));
  const columns = table.columns.map((column) =>
    column.attnum === 0 ? { ...column, attnum: known.get(column.name) ?? 0 } : column,
  );
  return { ...table, columns, maxAttnum: Math.max(table.maxAttnum, stored.maxAttnum) };
}

function changeSql(table: MirrorTable, plan: SchemaChange): string[] {
  const name = quoteName(table.name);
  const matchIndex = plan.drop.length > 0 && table.key.length === 0;
  const searchAnew = plan.search || plan.addRowidColumn;
  return [
    ...(searchAnew ? dropSearchSql(table.name) : []),
    ...(matchIndex ? dropMatchIndexSql(table.name) : []),
    ...plan.drop.map((column) => `ALTER TABLE ${name} DROP COLUMN ${quoteName(column)}`),
    ...plan.rename.map(
      ({ from, to }) => `ALTER TABLE ${name} RENAME COLUMN ${quoteName(from)} TO ${quoteName(to)}`,
    ),
    ...plan.add.map(
      ({ name: column, storage }) =>
        `ALTER TABLE ${name} ADD COLUMN ${quoteName(column)} ${declaredType(storage)}`,
    ),
    ...(plan.addRowidColumn ? addRowidColumnSql(table) : []),
    ...(matchIndex ? createMatchIndexSql(table) : []),
    ...(searchAnew ? createSearchSql(table) : []),
  ];
}

function createTableSql(table: MirrorTable, name: string): string {
  const withRowid = needsRowidColumn(table);
  const columns = table.columns.map((column) => `${quoteName(column.name)} ${declaredType(column.storage)}`);
  if (withRowid) columns.unshift(`${ROWID_COLUMN} INTEGER PRIMARY KEY`);
  if (table.key.length > 0) {
    columns.push(`${withRowid ? 'UNIQUE' : 'PRIMARY KEY'} (${nameList(keyNames(table))})`);
  }
  return `CREATE TABLE ${quoteName(name)} (${columns.join(', ')}) STRICT`;
}

/** A primary key cannot be added in place. */
function addRowidColumnSql(table: MirrorTable): string[] {
  const between = '_tailrace_rebuilt';
  const columns = nameList(table.columns.map(({ name }) => name));
  const name = quoteName(table.name);
  return [
    createTableSql(table, between),
    `INSERT INTO ${between} (${columns}) SELECT ${columns} FROM ${name}`,
    `DROP TABLE ${name}`,
    `ALTER TABLE ${between} RENAME TO ${name}`,
    ...createMatchIndexSql(table),
  ];
}

/** Rows without key are found by all their columns; a few of them narrow it down. */
const MATCH_COLUMNS = 3;

function createMatchIndexSql(table: MirrorTable): string[] {
  if (table.key.length > 0) return [];
  const columns = table.columns.filter(({ storage }) => storage !== 'blob').slice(0, MATCH_COLUMNS);
  if (columns.length === 0) return [];
  const index = quoteName(matchIndexName(table.name));
  return [
    `CREATE INDEX IF NOT EXISTS ${index} ON ${quoteName(table.name)} (${nameList(columns.map(({ name }) => name))})`,
  ];
}

function dropMatchIndexSql(name: string): string[] {
  return [`DROP INDEX IF EXISTS ${quoteName(matchIndexName(name))}`];
}

function matchIndexName(name: string): string {
  return `_tailrace_match_${name}`;
}

function assertNameIsFree(db: DatabaseSync, name: string): void {
  const taken = db
    .prepare('SELECT type FROM sqlite_schema WHERE name = ? COLLATE NOCASE OR name = ? COLLATE NOCASE')
    .get(name, searchTableName(name)) as { type: string } | undefined;
  if (taken === undefined) return;
  throw new TailraceError({
    code: 'E_SINK_FOREIGN',
    message: `The database already has a ${taken.type} named ${name} (or ${searchTableName(name)}) that no sink has made.`,
    fix: 'Give the mapping another `table`, or the sink another `path`, or drop what stands there.',
  });
}

function twoSources(stored: StoredMirror, table: MirrorTable): TailraceError {
  return new TailraceError({
    code: 'E_SINK_CONFIG',
    message: `Table ${table.name} would mirror both ${stored.source} and ${table.source}.`,
    fix: 'Tell them apart in the mapping: `table: "{schema}_{table}"`.',
  });
}

function storedForm(owner: Owner, table: MirrorTable, hasRowidColumn: boolean): StoredMirror {
  return {
    name: table.name,
    pipeline: owner.pipeline,
    sink: owner.sink,
    source: table.source,
    oid: table.oid,
    template: table.template,
    maxAttnum: table.maxAttnum,
    hasRowidColumn,
    key: keyNames(table),
    search: table.search,
    columns: table.columns.map(({ name, attnum, family }) => ({ name, attnum, family })),
  };
}

function run(db: DatabaseSync, statements: readonly string[]): void {
  for (const sql of statements) db.exec(sql);
}
