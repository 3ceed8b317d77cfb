import type { TableName } from '../../../src/config/table-pattern.ts';
import type { SourceTable } from '../../../src/pipeline/source.ts';
import { sqlTable } from '../connection/quoting.ts';
import type { SqlSession } from '../connection/sql-session.ts';

/** Up to here rows are counted, beyond it the planner's estimate will do. */
const COUNT_LIMIT = 10_000;
const TABLES_AT_ONCE = 50;
const DOING = 'Counting existing rows';

export interface ExistingRows extends TableName {
  /** Undefined: never analysed, and not readable for the role. */
  readonly rows: number | undefined;
  readonly exact: boolean;
}

/** Rows that are there already: a slot created now would not deliver them. Reads at most 10,000 rows of each table. */
export async function countExistingRows(
  session: SqlSession,
  tables: readonly SourceTable[],
  signal: AbortSignal,
): Promise<ExistingRows[]> {
  const small = tables.filter(({ estimatedRows }) => estimatedRows <= COUNT_LIMIT);
  const readable = await readableTables(session, small, signal);
  const counts = new Map<number, number>();
  for (let at = 0; at < readable.length; at += TABLES_AT_ONCE) {
    const sql = readable
      .slice(at, at + TABLES_AT_ONCE)
      .map(countStatement)
      .join('\nUNION ALL\n');
    const rows = await session.query<{ oid: number; rows: number }>({ sql, doing: DOING, signal });
    for (const row of rows) counts.set(row.oid, row.rows);
  }
  return tables.map(({ definition: { oid, schema, table }, estimatedRows }): ExistingRows => {
    const counted = counts.get(oid);
    if (counted !== undefined && counted <= COUNT_LIMIT) return { schema, table, rows: counted, exact: true };
    const least = counted ?? (estimatedRows < 0 ? undefined : 0);
    const rows = least === undefined ? undefined : Math.max(Math.round(estimatedRows), least);
    return { schema, table, rows, exact: false };
  });
}

interface ReadableTable extends TableName {
  readonly oid: number;
  readonly partitioned: boolean;
}

/** Those whose every row the role may see. */
async function readableTables(
  session: SqlSession,
  tables: readonly SourceTable[],
  signal: AbortSignal,
): Promise<ReadableTable[]> {
  return session.query<ReadableTable>({
    sql: `SELECT c.oid, n.nspname AS schema, c.relname AS "table", c.relkind = 'p' AS partitioned
            FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.oid = ANY ($1::oid[]) AND has_schema_privilege(n.oid, 'USAGE')
             AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid)`,
    params: [tables.map(({ definition }) => definition.oid)],
    doing: DOING,
    signal,
  });
}

/** ONLY: the rows of tables that inherit are those tables' own. */
function countStatement({ oid, partitioned, ...name }: ReadableTable): string {
  const from = `${partitioned ? '' : 'ONLY '}${sqlTable(name)}`;
  return `SELECT ${oid}::oid AS oid, (SELECT count(*)::int FROM (SELECT FROM ${from} LIMIT ${COUNT_LIMIT + 1}) AS seen) AS rows`;
}
