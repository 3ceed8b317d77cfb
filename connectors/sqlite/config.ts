import { z } from 'zod';
import { duration } from '../../src/config/scalars.ts';
import { asTailraceError } from '../../src/errors/tailrace-error.ts';
import { compileDestinationTemplate } from '../../src/events/formats/templates.ts';

/** FTS5's own default. https://www.sqlite.org/fts5.html#unicode61_tokenizer */
const DEFAULT_TOKENIZER = 'unicode61';

const columnName = z.string().min(1);

const nameTemplate = z
  .string()
  .min(1)
  .superRefine((template, context) => {
    try {
      compileDestinationTemplate(template, { pipeline: '', database: '' });
    } catch (thrown) {
      const { message, fix } = asTailraceError(thrown);
      context.addIssue({ code: 'custom', message: `${message} ${fix}` });
    }
  });

/** Options of a sink of type sqlite. */
export const sqliteConfig = z
  .strictObject({
    path: z
      .string()
      .min(1)
      .refine((path) => path !== ':memory:' && !path.startsWith('file:'), {
        error: 'expected the path of a file: a mirror in memory would lose its position',
      })
      .meta({
        description:
          'The database file, relative to the configuration file; made with its directory when it is not there.',
        examples: ['./shop.db'],
      }),
    busy_timeout: duration.prefault('5s').meta({
      description:
        'How long to wait for another writer of the same file before the batch is tried again later.',
    }),
  })
  .meta({ description: 'Mirror tables in one SQLite database.' });

const columns = z
  .strictObject({
    include: z.array(columnName).min(1).optional().meta({ description: 'Only these columns.' }),
    exclude: z.array(columnName).min(1).optional().meta({ description: 'All columns but these.' }),
  })
  .refine((given) => given.include === undefined || given.exclude === undefined, {
    error: 'give include or exclude, not both',
  });

const search = z.strictObject({
  columns: z
    .array(columnName)
    .min(1)
    .refine((names) => new Set(names).size === names.length, { error: 'expected each column once' })
    .meta({ description: 'Columns whose words can be searched.', examples: [['title', 'description']] }),
  tokenizer: z
    .string()
    .min(1)
    .default(DEFAULT_TOKENIZER)
    .meta({
      description: "How text is cut into words: FTS5's `tokenize` option.",
      examples: ['porter unicode61', 'trigram'],
    }),
});

/** Options of one mapping into a sink of type sqlite. */
export const sqliteMapping = z
  .strictObject({
    table: nameTemplate.default('{table}').meta({
      description: 'Name of the mirror table: text with {schema}, {table}, {pipeline} and {database}.',
      examples: ['{schema}_{table}'],
    }),
    columns: columns.optional().meta({
      description: 'Columns to mirror; the key is always among them. Default: all that the event log holds.',
    }),
    search: search.optional().meta({
      description: 'A full-text index beside the mirror, named <table>_search.',
    }),
  })
  .meta({ description: 'A table into a mirror table.' });

export type SqliteConfig = z.output<typeof sqliteConfig>;
export type SqliteMapping = z.output<typeof sqliteMapping>;
