import type { TableName } from '../../../src/config/table-pattern.ts';
import type { RelationDefinition } from '../../../src/events/relation.ts';
import type { SqlSession } from '../connection/sql-session.ts';

/** A publication as it is. https://www.postgresql.org/docs/current/catalog-pg-publication.html */
export interface PublicationFacts {
  readonly owner: string;
  /** The role has the owner's rights. */
  readonly owned: boolean;
  readonly comment: string | null;
  readonly allTables: boolean;
  readonly viaPartitionRoot: boolean;
  /** insert, update, delete and truncate are all published. */
  readonly allOperations: boolean;
  /** FOR TABLES IN SCHEMA. */
  readonly schemas: readonly string[];
  readonly tables: readonly PublishedTable[];
}

/** A table that is named in the publication itself. */
export interface PublishedTable extends TableName {
  readonly oid: number;
  readonly rowFilter: boolean;
  /** Null: all columns. */
  readonly columns: readonly string[] | null;
}

/** Row filters, column lists and schemas came with version 15: read as JSON, and not at all. */
const PUBLICATION_QUERY = `
  SELECT r.rolname AS owner, pg_has_role(p.pubowner, 'USAGE') AS owned, obj_description(p.oid, 'pg_publication') AS comment,
         p.puballtables AS "allTables", p.pubviaroot AS "viaPartitionRoot",
         p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AS "allOperations",
         ARRAY[]::text[] AS schemas,
         (SELECT coalesce(json_agg(json_build_object(
                   'oid', c.oid::int8, 'schema', n.nspname, 'table', c.relname,
                   'rowFilter', nullif(to_jsonb(m) ->> 'prqual', '') IS NOT NULL,
                   'columns', (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
                                WHERE a.attrelid = c.oid AND a.attnum IN (
                                  SELECT (attnum #>> '{}')::int2 FROM jsonb_path_query(to_jsonb(m), '$.prattrs[*]') AS attnum))
                 ) ORDER BY n.nspname, c.relname), '[]')
            FROM pg_publication_rel m
            JOIN pg_class c ON c.oid = m.prrelid
            JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE m.prpubid = p.oid) AS tables
    FROM pg_publication p
    JOIN pg_roles r ON r.oid = p.pubowner
   WHERE p.pubname = $1`;

const SCHEMAS_QUERY = `
  SELECT n.nspname AS schema
    FROM pg_publication p
    JOIN pg_publication_namespace m ON m.pnpubid = p.oid
    JOIN pg_namespace n ON n.oid = m.pnnspid
   WHERE p.pubname = $1`;

/** Undefined: there is none of that name. */
export async function readPublication(
  session: SqlSession,
  publication: string,
  signal: AbortSignal,
): Promise<PublicationFacts | undefined> {
  const doing = `Reading the publication ${publication}`;
  const params = [publication];
  const [facts] = await session.query<PublicationFacts>({ sql: PUBLICATION_QUERY, params, doing, signal });
  if (facts === undefined) return undefined;
  const [catalog] = await session.query<{ schemas: boolean }>({
    sql: "SELECT to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL AS schemas",
    doing,
    signal,
  });
  if (catalog?.schemas !== true) return facts;
  const rows = await session.query<{ schema: string }>({ sql: SCHEMAS_QUERY, params, doing, signal });
  return { ...facts, schemas: rows.map(({ schema }) => schema) };
}

/** Which of the tables are partitioned. */
export async function readPartitioned(
  session: SqlSession,
  tables: readonly RelationDefinition[],
  signal: AbortSignal,
): Promise<ReadonlySet<number>> {
  const rows = await session.query<{ oid: number }>({
    sql: "SELECT oid FROM pg_class WHERE relkind = 'p' AND oid = ANY ($1::oid[])",
    params: [tables.map(({ oid }) => oid)],
    doing: 'Reading the catalog',
    signal,
  });
  return new Set(rows.map(({ oid }) => oid));
}
