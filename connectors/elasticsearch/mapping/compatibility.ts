import type { FieldDefinition, ValueFamily } from './column-field.ts';

/** Field types that take any scalar as its text. */
const STRINGS: readonly string[] = [
  'text',
  'match_only_text',
  'keyword',
  'wildcard',
  'search_as_you_type',
  'annotated_text',
  'semantic_text',
  'icu_collation_keyword',
];
const FLOATS: readonly string[] = ['double', 'float', 'half_float', 'scaled_float'];

/** Field types that hold every value of a family, and are no guess of another kind. */
const HOLDING: Readonly<Record<ValueFamily, readonly string[]>> = {
  boolean: ['boolean', ...STRINGS],
  int2: ['short', 'integer', 'long', ...FLOATS, ...STRINGS],
  int4: ['integer', 'long', ...FLOATS, ...STRINGS],
  int8: ['long', ...FLOATS, ...STRINGS],
  float: [...FLOATS, ...STRINGS],
  numeric: [...FLOATS, ...STRINGS],
  timestamp: ['date', 'date_nanos', ...STRINGS],
  text: STRINGS,
  ip: ['ip', ...STRINGS],
  binary: ['binary', ...STRINGS],
  json: ['object', 'nested', 'flattened', 'flat_object', 'dense_vector', 'knn_vector', ...FLOATS],
};

/** A date format that reads what we write: ISO 8601 with an optional time. */
const READABLE_DATE = /(^|\|\|)(strict_)?date_optional_time(_nanos)?($|\|\|)/;

export interface FieldConflict {
  readonly field: string;
  readonly has: string;
  readonly needs: string;
}

/** Why an existing field cannot hold a column's values; undefined when it can. */
export function fieldConflict(input: {
  readonly field: string;
  readonly family: ValueFamily;
  readonly existing: FieldDefinition;
  /** What would be made were there no field. */
  readonly wanted: FieldDefinition;
  /** `wanted` is the configuration's own: nothing else will do. */
  readonly explicit: boolean;
}): FieldConflict | undefined {
  const { field, existing, wanted, family } = input;
  const has = typeOf(existing);
  if (input.explicit) {
    const needs = typeOf(wanted);
    return has === needs ? undefined : { field, has, needs };
  }
  if (!HOLDING[family].includes(has)) {
    return { field, has, needs: [...new Set([typeOf(wanted), ...HOLDING[family]])].join(', ') };
  }
  const format = existing['format'];
  if (family === 'timestamp' && typeof format === 'string' && !READABLE_DATE.test(format)) {
    if (existing['ignore_malformed'] !== true) {
      return { field, has: `${has} with format ${format}`, needs: 'format strict_date_optional_time' };
    }
  }
  return undefined;
}

/** An object field names no type. */
function typeOf(definition: FieldDefinition): string {
  const type = definition['type'];
  return typeof type === 'string' ? type : 'object';
}
