import type { ColumnType } from '../../../src/events/relation.ts';

/** First oid that is not PostgreSQL's own: types below it mean the same for ever. FirstNormalObjectId in access/transam.h. */
export const FIRST_NORMAL_OID = 16_384;

/** A row of pg_type, as {@link TYPES_QUERY} reads it. */
export interface TypeRow {
  readonly oid: number;
  readonly name: string;
  readonly schema: string;
  /** pg_type.typtype. */
  readonly kind: string;
  /** Element type of a true array, else 0. */
  readonly element: number;
  readonly delimiter: string;
  /** The type below a domain, else 0. */
  readonly base: number;
  /** The domain's modifier, else -1. */
  readonly baseTypmod: number;
  /** A domain that is declared NOT NULL. */
  readonly notNull: boolean;
  readonly labels: readonly string[] | null;
}

/**
 * The types with the given oids and all that they are made of. int2vector and oidvector have elements too but are no arrays to us:
 * their text has no braces.
 */
export const TYPES_QUERY = `
  WITH RECURSIVE part (oid) AS (
    SELECT wanted FROM unnest($1::oid[]) AS wanted
    UNION
    SELECT below.oid
      FROM part
      JOIN pg_type t ON t.oid = part.oid
      LEFT JOIN pg_type element ON element.oid = t.typelem AND element.typarray = t.oid
     CROSS JOIN LATERAL (VALUES (t.typbasetype), (element.oid)) AS below (oid)
     WHERE below.oid <> 0
  )
  SELECT t.oid, t.typname AS name, n.nspname AS schema, t.typtype AS kind, coalesce(element.oid, 0) AS element,
         coalesce(element.typdelim, ',') AS delimiter, t.typbasetype AS base, t.typtypmod AS "baseTypmod", t.typnotnull AS "notNull",
         CASE WHEN t.typtype = 'e' THEN
           (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
         END AS labels
    FROM part
    JOIN pg_type t ON t.oid = part.oid
    JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_type element ON element.oid = t.typelem AND element.typarray = t.oid`;

const KINDS: Readonly<Record<string, ColumnType['kind']>> = {
  b: 'base',
  c: 'composite',
  d: 'domain',
  e: 'enum',
  m: 'multirange',
  p: 'pseudo',
  r: 'range',
};

/** The tree of one column's type. A type that is in the catalog no more is `unknown`, named by its oid. */
export function columnType(oid: number, typmod: number, types: ReadonlyMap<number, TypeRow>): ColumnType {
  const row = types.get(oid);
  if (row === undefined) {
    return { oid, name: `oid ${oid}`, schema: 'pg_catalog', kind: 'unknown', typmod };
  }
  const { name, schema } = row;
  if (row.kind === 'd') {
    const base = columnType(row.base, row.baseTypmod, types);
    return { oid, name, schema, kind: 'domain', typmod: row.baseTypmod, base };
  }
  if (row.element !== 0) {
    const element = columnType(row.element, typmod, types);
    return { oid, name, schema, kind: 'array', typmod, element, delimiter: row.delimiter };
  }
  const kind = KINDS[row.kind] ?? 'unknown';
  return { oid, name, schema, kind, typmod, ...(kind === 'enum' ? { labels: row.labels ?? [] } : {}) };
}

/** True when the type is a domain that refuses null, itself or below. */
export function refusesNull(oid: number, types: ReadonlyMap<number, TypeRow>): boolean {
  const row = types.get(oid);
  return row !== undefined && row.kind === 'd' && (row.notNull || refusesNull(row.base, types));
}
