import { z } from 'zod';

/** Names and values are Debezium's, with `_` for `.`; defaults too, but for `skipped_operations`. */
export const debeziumOptions = {
  schemas_enable: z
    .boolean()
    .optional()
    .describe(
      'Debezium: write {"schema": ..., "payload": ...} as Kafka Connect\'s JsonConverter does, instead of the payload alone. Default false.',
    ),
  tombstones_on_delete: z
    .boolean()
    .optional()
    .describe(
      'Debezium: follow every delete with a record of the same key and a null value, so that compaction removes the key. Default true.',
    ),
  skipped_operations: z
    .array(z.enum(['c', 'u', 'd', 't', 'r', 'm']))
    .optional()
    .describe(
      'Debezium: operations that become no record: c insert, u update, d delete, t truncate, r backfill row, m logical message. Default none (Debezium itself skips t).',
    ),
  extended_headers_enabled: z
    .boolean()
    .optional()
    .describe('Debezium: add the __debezium.context.* headers to data records. Default true.'),
  unavailable_value_placeholder: z
    .string()
    .optional()
    .describe(
      'Debezium: stands for a TOASTed value that an update did not touch and the server did not send. Default __debezium_unavailable_value.',
    ),
  decimal_handling_mode: z
    .enum(['precise', 'double', 'string'])
    .optional()
    .describe(
      'Debezium: numeric and money as base64 of the unscaled value (precise), as a JSON number with the precision of a double, or as exact text. Default precise, which has no form for NaN and infinity.',
    ),
  time_precision_mode: z
    .enum([
      'adaptive',
      'adaptive_time_microseconds',
      'connect',
      'isostring',
      'microseconds',
      'nanoseconds',
      'structured',
    ])
    .optional()
    .describe(
      'Debezium: encoding of date, time and timestamp. Default adaptive: by the precision of the column.',
    ),
  interval_handling_mode: z
    .enum(['numeric', 'string'])
    .optional()
    .describe(
      'Debezium: interval as microseconds with a month of 365.25 / 12 days (numeric), or as ISO 8601 with all parts kept (string). Default numeric.',
    ),
  binary_handling_mode: z
    .enum(['bytes', 'base64', 'base64-url-safe', 'hex'])
    .optional()
    .describe(
      'Debezium: bytea as Connect bytes (base64 in JSON) or as text in the encoding named. Default bytes.',
    ),
  hstore_handling_mode: z
    .enum(['json', 'map'])
    .optional()
    .describe('Debezium: hstore as a string that holds JSON, or as an object. Default json.'),
  money_fraction_digits: z
    .int()
    .min(0)
    .max(10)
    .optional()
    .describe("Debezium: fraction digits of the database's lc_monetary, for money. Default 2."),
};

const debeziumSchema = z.strictObject(debeziumOptions);

export type DebeziumOptions = z.infer<typeof debeziumSchema>;

/** With every default filled in. */
export type DebeziumSettings = { readonly [K in keyof DebeziumOptions]-?: NonNullable<DebeziumOptions[K]> };

export function debeziumSettings(options: DebeziumOptions): DebeziumSettings {
  return {
    schemas_enable: options.schemas_enable ?? false,
    tombstones_on_delete: options.tombstones_on_delete ?? true,
    skipped_operations: options.skipped_operations ?? [],
    extended_headers_enabled: options.extended_headers_enabled ?? true,
    unavailable_value_placeholder: options.unavailable_value_placeholder ?? '__debezium_unavailable_value',
    decimal_handling_mode: options.decimal_handling_mode ?? 'precise',
    time_precision_mode: options.time_precision_mode ?? 'adaptive',
    interval_handling_mode: options.interval_handling_mode ?? 'numeric',
    binary_handling_mode: options.binary_handling_mode ?? 'bytes',
    hstore_handling_mode: options.hstore_handling_mode ?? 'json',
    money_fraction_digits: options.money_fraction_digits ?? 2,
  };
}
