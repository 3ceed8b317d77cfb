import { DatabaseSync } from 'node:sqlite';
import { type TableName, tables, type Workload } from '../workload.ts';

/** Rows of every table as comparable text, in an order of their own: of the source, and of a mirror of it. */
export type Contents = Readonly<Record<string, readonly string[]>>;

export function sourceContents({ rows }: Workload): Contents {
  return contents((table) =>
    rows[table].map((row) =>
      tables[table].columns.map(({ name }) => {
        const text = row[name] ?? null;
        if (text === null) return null;
        return name === 'weight' && text !== 'NaN' ? Number(text) : text;
      }),
    ),
  );
}

export function mirrorContents(path: string): Contents {
  const db = new DatabaseSync(path, { timeout: 5000 });
  try {
    return contents((table) => {
      const there = db.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(table);
      if (there === undefined) return [];
      const statement = db.prepare(`SELECT * FROM "${table}"`);
      statement.setReadBigInts(true);
      return statement.all().map((row) =>
        tables[table].columns.map(({ name }) => {
          const value = row[name] ?? null;
          return typeof value === 'bigint' ? String(value) : (value as string | number | null);
        }),
      );
    });
  } finally {
    db.close();
  }
}

function contents(rowsOf: (table: TableName) => readonly (readonly unknown[])[]): Contents {
  return Object.fromEntries(
    (Object.keys(tables) as TableName[]).map((table) => [
      table,
      rowsOf(table)
        .map((row) => JSON.stringify(row.map((value) => (typeof value === 'number' ? spell(value) : value))))
        .sort(),
    ]),
  );
}

/** JSON knows neither infinity nor the sign of zero. */
function spell(value: number): string {
  return Object.is(value, -0) ? 'number -0' : `number ${value}`;
}
