import type { ColumnType } from '../../../src/events/relation.ts';

/** A field definition as the mapping API takes it. */
export type FieldDefinition = Readonly<Record<string, unknown>>;

/** What the values of a column look like in a document; decides which existing field can hold them. */
export type ValueFamily =
  | 'boolean'
  | 'int2'
  | 'int4'
  | 'int8'
  | 'float'
  | 'numeric'
  | 'timestamp'
  | 'text'
  | 'ip'
  | 'binary'
  | 'json';

export interface ColumnField {
  readonly family: ValueFamily;
  readonly definition: FieldDefinition;
}

/** A term has at most 32,766 bytes: 8191 characters of four bytes fit. */
const KEYWORD: FieldDefinition = { type: 'keyword', ignore_above: 8191 };
/** As Elasticsearch maps a string by itself. */
const TEXT: FieldDefinition = {
  type: 'text',
  fields: { keyword: { type: 'keyword', ignore_above: 256 } },
};
/** Microseconds stay in the document; the index holds milliseconds. date_nanos would not reach beyond 1678 to 2262. */
const DATE: FieldDefinition = { type: 'date', format: 'strict_date_optional_time', ignore_malformed: true };
/** NaN, Infinity and what exceeds a double stay in the document, without being indexed. */
const DOUBLE: FieldDefinition = { type: 'double', ignore_malformed: true };
const EXACT_DOUBLE: FieldDefinition = {
  ...DOUBLE,
  fields: { keyword: { type: 'keyword', ignore_above: 1024 } },
};
/** Any JSON, as it is: keys with dots, thousands of keys, mixed types. */
const OPAQUE: FieldDefinition = { type: 'object', enabled: false };
const UNINDEXED: FieldDefinition = { type: 'keyword', index: false, doc_values: false };

/** Digits that survive the way through a double. */
const DOUBLE_DIGITS = 15;
/** numeric(p,s) is stored as (p << 16 | s) + 4. */
const NUMERIC_TYPMOD_OFFSET = 4;

const BY_NAME: ReadonlyMap<string, ColumnField> = new Map<string, ColumnField>([
  ['bool', { family: 'boolean', definition: { type: 'boolean' } }],
  ['int2', { family: 'int2', definition: { type: 'short' } }],
  ['int4', { family: 'int4', definition: { type: 'integer' } }],
  ['int8', { family: 'int8', definition: { type: 'long' } }],
  ['oid', { family: 'int8', definition: { type: 'long' } }],
  ['float4', { family: 'float', definition: { type: 'float', ignore_malformed: true } }],
  ['float8', { family: 'float', definition: DOUBLE }],
  ['date', { family: 'timestamp', definition: DATE }],
  ['timestamp', { family: 'timestamp', definition: DATE }],
  ['timestamptz', { family: 'timestamp', definition: DATE }],
  ['text', { family: 'text', definition: TEXT }],
  ['varchar', { family: 'text', definition: TEXT }],
  ['bpchar', { family: 'text', definition: TEXT }],
  ['citext', { family: 'text', definition: TEXT }],
  ['xml', { family: 'text', definition: TEXT }],
  [
    'inet',
    { family: 'ip', definition: { type: 'ip', ignore_malformed: true, fields: { keyword: KEYWORD } } },
  ],
  ['bytea', { family: 'binary', definition: { type: 'binary' } }],
  ['json', { family: 'json', definition: OPAQUE }],
  ['jsonb', { family: 'json', definition: OPAQUE }],
  ['hstore', { family: 'json', definition: OPAQUE }],
  ['vector', { family: 'json', definition: OPAQUE }],
  ['halfvec', { family: 'json', definition: OPAQUE }],
  ['tsvector', { family: 'text', definition: UNINDEXED }],
  ['geometry', { family: 'text', definition: UNINDEXED }],
  ['geography', { family: 'text', definition: UNINDEXED }],
]);

/**
 * The field for a column. An array is a field like its element: Elasticsearch has no arrays, every field takes many values.
 * No value that PostgreSQL can hold makes the document be refused, but json with a key twice in one object.
 */
export function columnField(type: ColumnType): ColumnField {
  switch (type.kind) {
    case 'domain':
      return type.base === undefined ? keyword() : columnField(type.base);
    case 'array':
      return type.element === undefined ? keyword() : columnField(type.element);
    case 'base':
      if (type.name === 'numeric') return numeric(type.typmod);
      return BY_NAME.get(type.name) ?? keyword();
    default:
      return keyword();
  }
}

function keyword(): ColumnField {
  return { family: 'text', definition: KEYWORD };
}

function numeric(typmod: number): ColumnField {
  const precision = typmod < 0 ? Infinity : ((typmod - NUMERIC_TYPMOD_OFFSET) >> 16) & 0xffff;
  return { family: 'numeric', definition: precision <= DOUBLE_DIGITS ? DOUBLE : EXACT_DOUBLE };
}
