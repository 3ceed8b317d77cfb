import type { Client } from 'pg';

/** instant: timestamptz. json: jsonb and arrays. plain: what every sink writes as the server's text, or as a number of the same digits. */
type ColumnKind = 'plain' | 'instant' | 'json';

export interface ShopTable {
  readonly name: string;
  readonly key: readonly string[];
  /** What leaves the database: not the password hashes. */
  readonly columns: Readonly<Record<string, ColumnKind>>;
}

export const TABLES: readonly ShopTable[] = [
  {
    name: 'customers',
    key: ['id'],
    columns: {
      id: 'plain',
      name: 'plain',
      email: 'plain',
      city: 'plain',
      preferences: 'json',
      joined_at: 'instant',
    },
  },
  {
    name: 'products',
    key: ['id'],
    columns: {
      id: 'plain',
      sku: 'plain',
      name: 'plain',
      description: 'plain',
      price: 'plain',
      stock: 'plain',
      tags: 'json',
      updated_at: 'instant',
    },
  },
  {
    name: 'orders',
    key: ['id'],
    columns: {
      id: 'plain',
      customer_id: 'plain',
      status: 'plain',
      total: 'plain',
      placed_at: 'instant',
      shipped_at: 'instant',
    },
  },
  {
    name: 'order_lines',
    key: ['order_id', 'line_no'],
    columns: {
      order_id: 'plain',
      line_no: 'plain',
      product_id: 'plain',
      quantity: 'plain',
      unit_price: 'plain',
    },
  },
];

/** A connection whose text output is the one Tailrace reads the WAL with. */
export const PINNED = '-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex';

/** Rows by key, each as one text: equal texts are equal rows. */
export type Rows = ReadonlyMap<string, string>;

type Row = Readonly<Record<string, unknown>>;

/** The source's rows in the server's own text form. */
export function rowsAsText(client: Client, table: ShopTable): Promise<Rows> {
  return read(client, table, (column) => `${column}::text`, textRow);
}

/** The source's rows as JSON documents and records have them. */
export function rowsAsJson(client: Client, table: ShopTable): Promise<Rows> {
  const expression = (column: string, kind: ColumnKind): string => {
    switch (kind) {
      case 'plain':
        return `${column}::text`;
      case 'instant':
        return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
      case 'json':
        return `to_jsonb(${column})::text`;
    }
  };
  return read(client, table, expression, canonicalRow);
}

async function read(
  client: Client,
  table: ShopTable,
  expression: (column: string, kind: ColumnKind) => string,
  asText: (table: ShopTable, row: Row) => string,
): Promise<Rows> {
  const columns = Object.entries(table.columns).map(([name, kind]) => `${expression(name, kind)} AS ${name}`);
  const { rows } = await client.query<Row>(`SELECT ${columns.join(', ')} FROM shop.${table.name}`);
  return new Map(rows.map((row) => [keyOf(table, row), asText(table, row)]));
}

export function keyOf(table: ShopTable, row: Row): string {
  return table.key.map((column) => String(row[column])).join('/');
}

/** A row whose values are the server's text, or numbers of the same digits. */
export function textRow(table: ShopTable, row: Row): string {
  return JSON.stringify(Object.keys(table.columns).map((name) => textOf(row[name])));
}

function textOf(value: unknown): string | null {
  return value === null || value === undefined ? null : `${value as string | number | bigint}`;
}

/** A row of a JSON document or record. */
export function canonicalRow(table: ShopTable, row: Row): string {
  return JSON.stringify(
    Object.entries(table.columns).map(([name, kind]) => {
      const value = row[name];
      if (kind === 'json' && value !== null && value !== undefined) return sortedJson(value);
      const text = textOf(value);
      return kind === 'instant' && text !== null ? microseconds(text) : text;
    }),
  );
}

/** `...:07Z` and `...:07.25Z` as `...:07.000000Z` and `...:07.250000Z`. */
function microseconds(instant: string): string {
  const [, whole = instant, fraction = ''] = /^(.*?:\d\d)(?:\.(\d+))?Z$/.exec(instant) ?? [];
  return `${whole}.${fraction.padEnd(6, '0')}Z`;
}

/** JSON, or a text that holds it, with its members in one order. */
function sortedJson(value: unknown): string {
  return JSON.stringify(typeof value === 'string' ? JSON.parse(value) : value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

export interface Difference {
  readonly missing: number;
  readonly surplus: number;
  readonly different: number;
}

export function compareRows(wanted: Rows, found: Rows): Difference {
  let missing = 0;
  let different = 0;
  for (const [key, row] of wanted) {
    const other = found.get(key);
    if (other === undefined) missing++;
    else if (other !== row) different++;
  }
  return { missing, different, surplus: found.size - (wanted.size - missing) };
}
