import { z } from 'zod';
import { checkFormat, formatOptions } from '../../src/events/formats/record-format.ts';

/** Options of a sink of type null. */
export const nullConfig = z
  .strictObject({
    bytes: z.boolean().default(true).meta({
      description:
        'Make the key and value of every record, as for a real target, before dropping them. false: only count.',
    }),
    stop_after: z
      .int()
      .positive()
      .optional()
      .meta({
        description:
          'End the run, in order, after so many events. Whole batches are counted. Default: never.',
        examples: [1_000_000],
      }),
    report: z.boolean().default(false).meta({
      description:
        'At the end, print one line of JSON on standard output: events, records, bytes, seconds and the latency from commit to here.',
    }),
  })
  .meta({ description: 'Counts and drops: for measuring. Nothing is remembered.' });

/** Options of one mapping into a sink of type null. */
export const nullMapping = z
  .strictObject({ ...formatOptions })
  .superRefine(checkFormat)
  .meta({ description: 'A table into nowhere.' });

export type NullConfig = z.output<typeof nullConfig>;
export type NullMapping = z.output<typeof nullMapping>;
