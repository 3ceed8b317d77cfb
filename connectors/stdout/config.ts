import { z } from 'zod';
import { checkFormat, formatOptions } from '../../src/events/formats/record-format.ts';

/** Options of a sink of type stdout. */
export const stdoutConfig = z
  .strictObject({})
  .meta({ description: 'Lines of JSON on standard output, from now on; nothing is remembered.' });

/** Options of one mapping into a sink of type stdout. */
export const stdoutMapping = z
  .strictObject({
    records: z.enum(['value', 'key_value']).default('value').meta({
      description:
        'What a line holds. value: the value of each record; tombstones are left out. key_value: {"key": ..., "value": ...}, tombstones with a null value.',
    }),
    ...formatOptions,
  })
  .superRefine(checkFormat)
  .meta({ description: 'A table onto standard output.' });

export type StdoutConfig = z.output<typeof stdoutConfig>;
export type StdoutMapping = z.output<typeof stdoutMapping>;
