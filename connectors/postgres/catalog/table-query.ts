/** A table as the catalog has it now. */
export interface TableRow {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  /** pg_class.relreplident: d, n, f or i. */
  readonly identity: string;
  /** pg_class.reltuples, of a partitioned table the sum of its partitions'; -1 = never analysed. */
  readonly estimatedRows: number;
  readonly columns: readonly TableColumn[];
  readonly indexes: readonly UniqueIndex[];
}

export interface TableColumn {
  readonly attnum: number;
  readonly name: string;
  readonly type: number;
  readonly typmod: number;
  readonly notNull: boolean;
  readonly generated: boolean;
}

/** A unique index over whole columns and all rows. */
export interface UniqueIndex {
  readonly name: string;
  readonly primary: boolean;
  /** ALTER TABLE ... REPLICA IDENTITY USING INDEX names it. */
  readonly identity: boolean;
  /** Not deferrable. */
  readonly immediate: boolean;
  /** attnums, in key order. */
  readonly columns: readonly number[];
}

/** By oid. A NOT NULL that was added as NOT VALID (version 18) says nothing of the rows that were there. */
export const TABLES_QUERY = `
  SELECT c.oid, n.nspname AS schema, c.relname AS "table", c.relreplident AS identity,
         (CASE WHEN c.relkind <> 'p' THEN c.reltuples ELSE coalesce(
           (SELECT sum(leaf.reltuples)
              FROM pg_partition_tree(c.oid) AS part
              JOIN pg_class leaf ON leaf.oid = part.relid
             WHERE part.isleaf AND leaf.reltuples >= 0), -1) END)::float8 AS "estimatedRows",
         (SELECT coalesce(json_agg(json_build_object(
                   'attnum', a.attnum, 'name', a.attname, 'type', a.atttypid::int8, 'typmod', a.atttypmod,
                   'generated', a.attgenerated <> '',
                   'notNull', a.attnotnull AND NOT EXISTS (
                     SELECT FROM pg_constraint o
                      WHERE o.conrelid = c.oid AND o.contype = 'n' AND NOT o.convalidated AND a.attnum = ANY (o.conkey))
                 ) ORDER BY a.attnum), '[]')
            FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
         (SELECT coalesce(json_agg(json_build_object(
                   'name', ic.relname, 'primary', i.indisprimary, 'identity', i.indisreplident, 'immediate', i.indimmediate,
                   'columns', (SELECT json_agg(k.attnum ORDER BY k.place)
                                 FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
                                WHERE k.place <= i.indnkeyatts)
                 ) ORDER BY ic.relname), '[]')
            FROM pg_index i
            JOIN pg_class ic ON ic.oid = i.indexrelid
           WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
             AND 0 <> ALL (i.indkey::int2[])) AS indexes
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid = ANY ($1::oid[])`;

/** What a publication publishes of a table now; `columns` is null before version 15, which had no column lists. */
export interface PublishedRow {
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly string[] | null;
  readonly serverVersion: number;
}

export const PUBLISHED_QUERY = `
  SELECT p.schemaname AS schema, p.tablename AS "table", to_jsonb(p) -> 'attnames' AS columns,
         current_setting('server_version_num')::int AS "serverVersion"
    FROM pg_publication_tables p
   WHERE p.pubname = $1`;
