import { DatabaseSync } from 'node:sqlite';
import type { Client } from 'pg';

export const MIRRORED = [
  { table: 'customers', key: 'id', columns: ['id', 'name', 'email', 'city', 'preferences', 'joined_at'] },
  {
    table: 'products',
    key: 'id',
    columns: ['id', 'sku', 'name', 'description', 'price', 'stock', 'tags', 'updated_at'],
  },
  {
    table: 'orders',
    key: 'id',
    columns: ['id', 'customer_id', 'status', 'total', 'placed_at', 'shipped_at'],
  },
  {
    table: 'order_lines',
    key: 'order_id, line_no',
    columns: ['order_id', 'line_no', 'product_id', 'quantity', 'unit_price'],
  },
] as const;

/** A connection whose text output is the one Tailrace reads the WAL with. */
export const PINNED = '-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex';

export interface TableVerdict {
  readonly table: string;
  readonly rows: number;
  readonly missing: number;
  readonly surplus: number;
  readonly different: number;
}

/** Compares source and index row by row, column by column, in the server's own text form. */
export async function compare(source: Client, indexPath: string): Promise<readonly TableVerdict[]> {
  using index = new DatabaseSync(indexPath, { readOnly: true });
  const verdicts: TableVerdict[] = [];
  for (const { table, key, columns } of MIRRORED) {
    const texts = columns.map((column) => `${column}::text`).join(', ');
    const { rows } = await source.query<string[]>({
      text: `SELECT ${texts} FROM shop.${table} ORDER BY ${key}`,
      rowMode: 'array',
    });
    const keys = key.split(', ').length;
    const wanted = new Map(rows.map((row) => [row.slice(0, keys).join('/'), row]));
    const statement = index.prepare(`SELECT ${columns.join(', ')} FROM ${table}`);
    statement.setReadBigInts(true);
    let surplus = 0;
    let different = 0;
    for (const found of statement.iterate()) {
      const values = columns.map((column) => {
        const value = (found as Record<string, string | bigint | null>)[column];
        return value?.toString() ?? null;
      });
      const id = values.slice(0, keys).join('/');
      const row = wanted.get(id);
      if (row === undefined) surplus++;
      else if (row.some((value, i) => value !== values[i])) different++;
      wanted.delete(id);
    }
    verdicts.push({ table, rows: rows.length, missing: wanted.size, surplus, different });
  }
  return verdicts;
}

export function isClean(verdicts: readonly TableVerdict[]): boolean {
  return verdicts.every((verdict) => verdict.missing + verdict.surplus + verdict.different === 0);
}

/** Rows per mirrored table; zeros before the index is there. */
export function countIndexRows(indexPath: string): ReadonlyMap<string, number> {
  try {
    using index = new DatabaseSync(indexPath, { readOnly: true });
    return new Map(MIRRORED.map(({ table }) => [table, countRows(index, table)]));
  } catch {
    return new Map();
  }
}

function countRows(index: DatabaseSync, table: string): number {
  try {
    return (index.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n;
  } catch {
    // The mirror table is made with its first row.
    return 0;
  }
}

export interface Hit {
  readonly name: string;
  readonly price: string;
  readonly stock: number;
}

/** Full-text search in the index, best match first. */
export function search(indexPath: string, words: string): readonly Hit[] {
  using index = new DatabaseSync(indexPath, { readOnly: true });
  return index
    .prepare(
      `SELECT p.name, p.price, p.stock FROM products_search s JOIN products p ON p.rowid = s.rowid
       WHERE products_search MATCH ? ORDER BY rank LIMIT 3`,
    )
    .all(words) as unknown as Hit[];
}
