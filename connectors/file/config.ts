import { z } from 'zod';
import { byteSize, duration } from '../../src/config/scalars.ts';
import { asTailraceError } from '../../src/errors/tailrace-error.ts';
import { checkFormat, formatOptions } from '../../src/events/formats/record-format.ts';
import { fileNames } from './file-name.ts';

const fileTemplate = z
  .string()
  .min(1)
  .superRefine((template, context) => {
    try {
      fileNames(template, { pipeline: 'p', database: 'd' });
    } catch (thrown) {
      const { message, fix } = asTailraceError(thrown);
      context.addIssue({ code: 'custom', message: fix === undefined ? message : `${message} ${fix}` });
    }
  });

const rotate = z
  .strictObject({
    bytes: byteSize
      .refine((bytes) => bytes > 0, { error: 'expected more than nothing' })
      .optional()
      .meta({
        description:
          'A file is put aside before it grows beyond this; a batch is never split between two files.',
        examples: ['256MiB'],
      }),
    age: duration
      .refine((ms) => ms > 0, { error: 'expected more than nothing' })
      .optional()
      .meta({
        description: 'A file is put aside with the first delivery after it has held lines for this long.',
        examples: ['1h'],
      }),
    compress: z.enum(['none', 'gzip']).default('none').meta({
      description:
        'What happens to files that are put aside. gzip: compressed beside the delivery, in a thread of its own.',
    }),
  })
  .refine((given) => given.bytes !== undefined || given.age !== undefined, {
    error: 'give bytes, age or both',
  });

/** Options of a sink of type file. */
export const fileConfig = z
  .strictObject({
    path: z
      .string()
      .min(1)
      .meta({
        description:
          'Directory of the files, relative to the configuration file; made when it is not there. Only one instance may write into it.',
        examples: ['./events'],
      }),
    file: fileTemplate.default('{schema}.{table}.ndjson').meta({
      description:
        'File of a table, below `path`: text with {schema}, {table}, {pipeline} and {database}. Without a placeholder all tables share one file, in commit order.',
      examples: ['{schema}/{table}.ndjson', 'events.ndjson'],
    }),
    rotate: rotate.optional().meta({
      description: 'When a file is put aside as <name>.000001.ndjson and a new one begun. Default: never.',
    }),
  })
  .meta({ description: 'Lines of JSON in files.' });

/** Options of one mapping into a sink of type file. */
export const fileMapping = z
  .strictObject({
    file: fileTemplate.optional().meta({ description: "Instead of the sink's `file`." }),
    records: z.enum(['value', 'key_value']).default('value').meta({
      description:
        'What a line holds. value: the value of each record; tombstones are left out. key_value: {"key": ..., "value": ...}, tombstones with a null value.',
    }),
    ...formatOptions,
  })
  .superRefine(checkFormat)
  .meta({ description: 'A table into a file.' });

export type FileConfig = z.output<typeof fileConfig>;
export type FileMapping = z.output<typeof fileMapping>;
