import { DatabaseSync } from 'node:sqlite';
import { keyOf, type Rows, type ShopTable, TABLES, textRow } from './shop-tables.ts';

/** The search index of the demo: a SQLite database with the tables of the shop. */
export class Mirror {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Rows per table; nothing before the index is there. */
  counts(): ReadonlyMap<string, number> {
    try {
      using database = new DatabaseSync(this.#path, { readOnly: true });
      return new Map(TABLES.map(({ name }) => [name, countRows(database, name)]));
    } catch {
      return new Map();
    }
  }

  rows(table: ShopTable): Rows {
    using database = new DatabaseSync(this.#path, { readOnly: true });
    const statement = database.prepare(`SELECT ${Object.keys(table.columns).join(', ')} FROM ${table.name}`);
    statement.setReadBigInts(true);
    const rows = new Map<string, string>();
    for (const found of statement.iterate()) {
      const row = found as Readonly<Record<string, string | bigint | null>>;
      rows.set(keyOf(table, row), textRow(table, row));
    }
    return rows;
  }

  /** Full-text search, best match first. */
  search(words: string): readonly Hit[] {
    using database = new DatabaseSync(this.#path, { readOnly: true });
    return database
      .prepare(
        `SELECT p.name, p.price, p.stock FROM products_search s JOIN products p ON p.rowid = s.rowid
         WHERE products_search MATCH ? ORDER BY rank LIMIT 3`,
      )
      .all(words) as unknown as Hit[];
  }
}

export interface Hit {
  readonly name: string;
  readonly price: string;
  readonly stock: number;
}

function countRows(database: DatabaseSync, table: string): number {
  try {
    return (database.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n;
  } catch {
    // A mirror table is made with its first row.
    return 0;
  }
}
