import { z } from 'zod';
import { TailraceError } from '../../errors/tailrace-error.ts';
import type { Relation } from '../relation.ts';
import type { DocumentEncoder, RecordContext, RecordEncoder } from './contract.ts';
import { debeziumOptions } from './debezium/options.ts';
import { DebeziumRecordEncoder } from './debezium/record-encoder.ts';
import { plainOptions } from './plain/options.ts';
import { PlainDocumentEncoder } from './plain/plain-rows.ts';
import { PlainRecordEncoder } from './plain/record-encoder.ts';
import { selectedColumns } from './selected-columns.ts';

/**
 * Options of one mapping into a sink of records, to be spread into the sink's strict mapping object, which takes `checkFormat` as a
 * refinement: `z.strictObject({ topic: ..., ...formatOptions }).superRefine(checkFormat)`.
 */
export const formatOptions = {
  format: z
    .enum(['debezium', 'plain'])
    .default('debezium')
    .describe('Shape of the records: Debezium change events, or the row alone (plain).'),
  ...debeziumOptions,
  ...plainOptions,
};

const formatSchema = z.strictObject(formatOptions);

export type FormatOptions = z.infer<typeof formatSchema>;

const OWNERS: readonly (readonly [FormatOptions['format'], Readonly<Record<string, unknown>>])[] = [
  ['debezium', debeziumOptions],
  ['plain', plainOptions],
];

/** Options that the chosen format does not have. */
function foreignOptions(options: FormatOptions): readonly { option: string; owner: string }[] {
  return OWNERS.filter(([owner]) => owner !== options.format).flatMap(([owner, members]) =>
    Object.keys(members)
      .filter((option) => options[option as keyof FormatOptions] !== undefined)
      .map((option) => ({ option, owner })),
  );
}

/** Zod refinement: an option of another format is an error at its own place, not silently without effect. */
export function checkFormat(options: FormatOptions, context: z.RefinementCtx): void {
  for (const { option, owner } of foreignOptions(options)) {
    context.addIssue({
      code: 'custom',
      path: [option],
      message: `${option} belongs to format: ${owner}, this mapping has format: ${options.format}`,
    });
  }
}

/**
 * Encoder of one relation version under one mapping.
 * `columns`: indices of the columns shown (all when undefined); key columns are in the key in any case.
 */
export function createRecordEncoder(
  options: FormatOptions,
  relation: Relation,
  context: RecordContext,
  columns?: readonly number[],
): RecordEncoder {
  const [foreign] = foreignOptions(options);
  if (foreign !== undefined) {
    throw new TailraceError({
      code: 'E_CONFIG',
      message: `${foreign.option} belongs to format: ${foreign.owner}, the mapping has format: ${options.format}.`,
      fix: `Remove ${foreign.option}.`,
    });
  }
  const shown = selectedColumns(relation, columns);
  switch (options.format) {
    case 'debezium':
      return new DebeziumRecordEncoder(relation, options, context, shown);
    case 'plain':
      return new PlainRecordEncoder(relation, options, shown);
  }
}

/** Encoder of rows as documents, in the `plain` encoding of values. `columns` as for records. */
export function createDocumentEncoder(
  relation: Relation,
  options: { readonly columns?: readonly number[] | undefined } = {},
): DocumentEncoder {
  return new PlainDocumentEncoder(relation, selectedColumns(relation, options.columns));
}
