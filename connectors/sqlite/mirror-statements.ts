import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { ColumnValue } from './column-values.ts';
import { keyNames, type MirrorTable, rowidName } from './mirror-table.ts';
import { clearSearchSql, createTriggersSql, dropTriggersSql } from './search-index.ts';
import { nameList, quoteName } from './sql.ts';

type Bound = Exclude<ColumnValue, undefined>;

/** The statements of one mirror, prepared when first used. Rows are arrays in the order of its columns. */
export class MirrorStatements {
  readonly table: MirrorTable;
  readonly #db: DatabaseSync;
  readonly #name: string;
  readonly #columns: readonly string[];
  readonly #byKey: string;
  readonly #upsert: () => StatementSync;
  readonly #insert: () => StatementSync;
  readonly #delete: () => StatementSync;
  readonly #remove: () => StatementSync;
  readonly #replace: () => StatementSync;
  /** UPDATE statements by which columns they set. */
  readonly #updates = new Map<string, StatementSync>();

  constructor(db: DatabaseSync, table: MirrorTable) {
    this.table = table;
    this.#db = db;
    this.#name = quoteName(table.name);
    this.#columns = table.columns.map(({ name }) => quoteName(name));
    this.#byKey = keyNames(table)
      .map((name) => `${quoteName(name)} = ?`)
      .join(' AND ');
    const insert = `INSERT INTO ${this.#name} (${this.#columns.join(', ')}) VALUES (${this.#columns.map(() => '?').join(', ')})`;
    this.#insert = this.#once(() => insert);
    this.#upsert = this.#once(
      () => `${insert} ON CONFLICT (${nameList(keyNames(table))}) ${this.#onConflict()}`,
    );
    this.#delete = this.#once(() => `DELETE FROM ${this.#name} WHERE ${this.#byKey}`);
    this.#remove = this.#once(() => `DELETE FROM ${this.#name} WHERE ${this.#byRow()}`);
    this.#replace = this.#once(
      () =>
        `UPDATE ${this.#name} SET ${this.#columns.map((each) => `${each} = ?`).join(', ')} WHERE ${this.#byRow()}`,
    );
  }

  upsert(row: readonly ColumnValue[]): void {
    this.#upsert().run(...(row as Bound[]));
  }

  /** Fails with SQLITE_CONSTRAINT when a row with its key is there. */
  insert(row: readonly ColumnValue[]): void {
    this.#insert().run(...(row as Bound[]));
  }

  /** Sets the columns that are there on the row with this key; false when there is none. */
  update(key: readonly ColumnValue[], row: readonly ColumnValue[]): boolean {
    let signature = '';
    const values: Bound[] = [];
    for (const value of row) {
      signature += value === undefined ? '-' : '+';
      if (value !== undefined) values.push(value);
    }
    let statement = this.#updates.get(signature);
    if (statement === undefined) {
      const set = this.#columns.filter((_, i) => row[i] !== undefined).map((column) => `${column} = ?`);
      statement = this.#db.prepare(`UPDATE ${this.#name} SET ${set.join(', ')} WHERE ${this.#byKey}`);
      this.#updates.set(signature, statement);
    }
    return statement.run(...values, ...(key as Bound[])).changes !== 0;
  }

  delete(key: readonly ColumnValue[]): void {
    this.#delete().run(...(key as Bound[]));
  }

  /** Removes one row equal to this one. */
  remove(row: readonly ColumnValue[]): void {
    this.#remove().run(...(row as Bound[]));
  }

  /** Makes `next` of one row equal to `row`; false when there is none. */
  replace(row: readonly ColumnValue[], next: readonly ColumnValue[]): boolean {
    return this.#replace().run(...(next as Bound[]), ...(row as Bound[])).changes !== 0;
  }

  /** Without triggers SQLite forgets all rows at once, and so does the index. https://www.sqlite.org/lang_delete.html */
  truncate(): void {
    const { name, search } = this.table;
    if (search !== undefined) for (const sql of dropTriggersSql(name)) this.#db.exec(sql);
    this.#db.exec(`DELETE FROM ${this.#name}`);
    if (search === undefined) return;
    this.#db.exec(clearSearchSql(name));
    for (const sql of createTriggersSql(this.table)) this.#db.exec(sql);
  }

  #onConflict(): string {
    const rest = this.#columns.filter((_, i) => !this.table.key.includes(i));
    if (rest.length === 0) return 'DO NOTHING';
    return `DO UPDATE SET ${rest.map((column) => `${column} = excluded.${column}`).join(', ')}`;
  }

  #byRow(): string {
    const rowid = rowidName(this.table);
    const equal = this.#columns.map((column) => `${column} IS ?`).join(' AND ');
    return `${rowid} = (SELECT ${rowid} FROM ${this.#name} WHERE ${equal} LIMIT 1)`;
  }

  #once(sql: () => string): () => StatementSync {
    let statement: StatementSync | undefined;
    return () => (statement ??= this.#db.prepare(sql()));
  }
}
