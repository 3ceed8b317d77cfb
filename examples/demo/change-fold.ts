import { canonicalRow, keyOf, type Rows, type ShopTable, TABLES } from './shop-tables.ts';

/** What the demo reads of a Debezium change event. */
export interface ChangeEvent {
  readonly op: string;
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly source: {
    readonly table: string;
    readonly ts_ms: number;
    readonly commit_lsn: number;
    readonly seq: number;
  };
}

/** The tables as a reader of a change stream would build them up, and what such a reader would stumble over. */
export class ChangeFold {
  /** Events taken in. */
  events = 0;
  /** Events that came again, or after a later one of their row. */
  repeated = 0;
  /** Inserts of rows that are there; updates and deletes of rows that are not. */
  contradictions = 0;
  readonly #tables = new Map<string, { readonly table: ShopTable; readonly rows: Map<string, string> }>(
    TABLES.map((table) => [table.name, { table, rows: new Map() }]),
  );
  /** Position of the last event of each row. */
  readonly #positions = new Map<string, readonly [commitLsn: number, seq: number]>();

  rows(table: ShopTable): Rows {
    return this.#tables.get(table.name)?.rows ?? new Map<string, string>();
  }

  add(event: ChangeEvent): void {
    const { table, rows } = this.#tables.get(event.source.table) ?? {};
    const row = event.after ?? event.before;
    if (table === undefined || rows === undefined || row === null) return;
    this.events++;
    const key = keyOf(table, row);
    if (!this.#isNext(`${table.name}/${key}`, event.source)) {
      this.repeated++;
      return;
    }
    if ((event.op === 'c') === rows.has(key)) this.contradictions++;
    if (event.after === null) rows.delete(key);
    else rows.set(key, canonicalRow(table, event.after));
  }

  #isNext(key: string, { commit_lsn: commitLsn, seq }: ChangeEvent['source']): boolean {
    const last = this.#positions.get(key);
    if (last !== undefined && (commitLsn < last[0] || (commitLsn === last[0] && seq <= last[1])))
      return false;
    this.#positions.set(key, [commitLsn, seq]);
    return true;
  }
}
