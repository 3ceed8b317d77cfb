import type { ColumnType } from '../../src/events/relation.ts';

/** How a value is kept in SQLite, and what its PostgreSQL text is turned into. */
export type Storage = 'integer' | 'boolean' | 'float' | 'blob' | 'text';

const STORAGE: Readonly<Record<string, Storage>> = {
  int2: 'integer',
  int4: 'integer',
  int8: 'integer',
  oid: 'integer',
  bool: 'boolean',
  float4: 'float',
  float8: 'float',
  bytea: 'blob',
};

/**
 * Types in a STRICT table. Floats are ANY, not REAL: a REAL column turns NaN into NULL and -0 into 0, an ANY column keeps the
 * eight bytes as they are and takes NaN, which SQLite has no number for, as the text `NaN` (it sorts after every number, as in
 * PostgreSQL). https://www.sqlite.org/stricttables.html
 */
const DECLARED: Readonly<Record<Storage, string>> = {
  integer: 'INTEGER',
  boolean: 'INTEGER',
  float: 'ANY',
  blob: 'BLOB',
  text: 'TEXT',
};

export function storageOf(type: ColumnType): Storage {
  const { name, schema, kind } = underlying(type);
  if (kind !== 'base' || schema !== 'pg_catalog') return 'text';
  return STORAGE[name] ?? 'text';
}

export function declaredType(storage: Storage): string {
  return DECLARED[storage];
}

/**
 * What must stay equal for values written under an older version of the column to be what the server would print now. ALTER TYPE
 * rewrites a table without sending its rows again; only a change inside one of these families leaves every stored value as it is.
 */
export function typeFamily(type: ColumnType): string {
  const base = underlying(type);
  const { name, schema, kind, typmod } = base;
  if (kind === 'array' && base.element !== undefined) return `${typeFamily(base.element)}[]`;
  if (schema !== 'pg_catalog') return `${schema}.${name}`;
  switch (name) {
    case 'int2':
    case 'int4':
    case 'int8':
      return 'integer';
    case 'text':
    case 'varchar':
      return 'text';
    case 'numeric':
      // More digits before the point leave the text alone, another scale does not.
      return typmod < 0 ? 'numeric' : `numeric(*,${numericScale(typmod)})`;
    default:
      return typmod < 0 ? name : `${name}(${typmod})`;
  }
}

/** https://www.postgresql.org/docs/current/catalog-pg-attribute.html: precision and scale behind a header of four bytes. */
function numericScale(typmod: number): number {
  const scale = (typmod - 4) & 0x7ff;
  // Eleven bits with sign: numeric allows negative scales since PostgreSQL 15.
  return scale > 1023 ? scale - 2048 : scale;
}

function underlying(type: ColumnType): ColumnType {
  return type.kind === 'domain' && type.base !== undefined ? underlying(type.base) : type;
}
