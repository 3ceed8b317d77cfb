import type { Client } from 'pg';
import type { ChangeFold } from './change-fold.ts';
import {
  compareRows,
  type Difference,
  type Rows,
  rowsAsJson,
  rowsAsText,
  type ShopTable,
  TABLES,
} from './shop-tables.ts';

/** One place that rows went to, compared with the tables. */
export interface Verdict {
  readonly title: string;
  readonly differences: ReadonlyMap<string, Difference>;
  /** Of a change stream: what a reader of it met. */
  readonly stream?: Pick<ChangeFold, 'events' | 'repeated' | 'contradictions'> | undefined;
}

export interface Place {
  readonly title: string;
  /** How its rows are written: as the server's text, or as JSON has them. */
  readonly form: 'text' | 'json';
  readonly rows: (table: ShopTable) => Rows | Promise<Rows>;
  readonly stream?: Verdict['stream'];
}

/** Compares a place with the source row by row, column by column. */
export async function judge(client: Client, place: Place): Promise<Verdict> {
  const differences = new Map<string, Difference>();
  for (const table of TABLES) {
    const wanted = await (place.form === 'text' ? rowsAsText : rowsAsJson)(client, table);
    differences.set(table.name, compareRows(wanted, await place.rows(table)));
  }
  return { title: place.title, differences, stream: place.stream };
}

export function isEqual({ missing, surplus, different }: Difference): boolean {
  return missing + surplus + different === 0;
}

export function isClean({ differences, stream }: Verdict): boolean {
  return (
    [...differences.values()].every(isEqual) &&
    (stream === undefined || (stream.events > 0 && stream.repeated + stream.contradictions === 0))
  );
}
