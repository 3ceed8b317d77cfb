import { z } from 'zod';
import { byteSize, duration } from './scalars.ts';

/** A name that becomes part of topics, transactional ids, file names and metrics labels. */
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, {
  error:
    'expected letters, digits, dots, underscores and dashes, beginning with a letter or digit, 100 at most',
});

/** Options that sinks of every type have, beside `type`. */
export const sinkOptions = z.object({
  on_poison: z.enum(['stop']).default('stop').meta({
    description:
      'What becomes of an event that the sink refuses for good. stop: it goes to the dead-letter log and this sink stops with an error; the others go on.',
  }),
});

const retain = z
  .strictObject({
    age: duration.optional().meta({ description: 'Keep history no longer than this.', examples: ['7d'] }),
    bytes: byteSize.optional().meta({ description: 'Keep no more than this.', examples: ['10GiB'] }),
  })
  .meta({
    description:
      'History kept after every sink has it, for replay and new sinks: while it is younger than age and the log smaller than bytes, of what is given. Default: none.',
  });

const eventLog = z.strictObject({
  dir: z.string().min(1).default('./tailrace-data').meta({
    description:
      'Directory of the event log, on a disk that survives a restart. Relative to the configuration file.',
  }),
  limit: byteSize
    .refine((bytes) => bytes >= 64 * 1024 * 1024, { error: 'expected at least 64MiB' })
    .prefault('50GiB')
    .meta({ description: 'Disk the log may use.' }),
  on_full: z.enum(['stop', 'detach']).default('stop').meta({
    description:
      'At the limit. stop: reading waits and the server keeps the WAL. detach: the slowest sink is given up until it is rebuilt.',
  }),
  retain: retain.prefault({}),
  segment: byteSize
    .refine((bytes) => bytes >= 1024 * 1024, { error: 'expected at least 1MiB' })
    .prefault('128MiB')
    .meta({ description: 'Size of one file of the log: the unit in which it is removed.' }),
});

const columns = z
  .strictObject({
    include: z.array(z.string().min(1)).min(1).optional().meta({ description: 'Only these columns.' }),
    exclude: z.array(z.string().min(1)).min(1).optional().meta({ description: 'All columns but these.' }),
  })
  .refine((given) => given.include === undefined || given.exclude === undefined, {
    error: 'give include or exclude, not both',
  })
  .meta({
    description:
      'Columns that leave the database. What is left out is dropped before it reaches the disk of Tailrace.',
  });

const mapping = z
  .looseObject({ sink: z.string().min(1).meta({ description: 'Name of a sink.' }) })
  .meta({ description: 'Into one sink; the other keys are options of its type.' });

const table = z.strictObject({
  columns: columns.optional(),
  to: z
    .union([z.string().min(1), mapping, z.array(z.union([z.string().min(1), mapping])).min(1)], {
      error:
        'expected the name of a sink, a mapping such as { sink: search, index: orders }, or a list of them',
    })
    .meta({ description: 'Where the rows go: a sink, or a list of sinks with options.' }),
});

const admin = z.union(
  [
    z.literal(false),
    z.strictObject({
      host: z.string().min(1).default('127.0.0.1').meta({ description: 'Address to listen on.' }),
      port: z
        .int()
        .min(0)
        .max(65_535)
        .default(8642)
        .meta({ description: '0 = any free port; the log says which.' }),
      token: z.string().min(16).optional().meta({
        description:
          'Asked for by what changes something. Default: made anew at each start, kept in the lock file.',
      }),
    }),
  ],
  { error: 'expected false, or keys such as port' },
);

const log = z.strictObject({
  level: z
    .enum(['debug', 'info', 'warn', 'error'])
    .default('info')
    .meta({ description: 'Least level that is logged.' }),
  format: z
    .enum(['auto', 'json', 'pretty'])
    .default('auto')
    .meta({ description: 'auto: readable on a terminal, one JSON object a line otherwise.' }),
});

/**
 * The configuration file but for what connectors add: the source block, and the options of each type of sink and mapping.
 * Descriptions are the option reference.
 */
export function pipelineSchema<S>(source: z.ZodType<S>) {
  return z.strictObject({
    pipeline: name.meta({
      description: 'Name of the pipeline: slot, publication, topics and stored positions are named after it.',
      examples: ['shop'],
    }),
    source: source.meta({ description: 'The PostgreSQL database.' }),
    event_log: eventLog
      .prefault({})
      .meta({ description: 'The append-only log on disk between the database and the sinks.' }),
    sinks: z
      .record(name, z.looseObject({ type: z.string().nullable(), ...sinkOptions.shape }))
      .refine((sinks) => Object.keys(sinks).length > 0, { error: 'expected at least one sink' })
      .meta({
        description:
          'Where changes go. The name is part of the stored position: a renamed sink is a new one.',
      }),
    tables: z
      .record(z.string().min(1), table)
      .refine((tables) => Object.keys(tables).length > 0, { error: 'expected at least one table' })
      .meta({
        description:
          'Tables by name (public.orders) or pattern (shop.*). A name goes before a pattern, and a pattern before those below it.',
      }),
    admin: admin
      .prefault({})
      .meta({ description: 'The local HTTP server: /metrics, /livez, /readyz, /status. false: none.' }),
    log: log.prefault({}).meta({ description: 'What the process writes to standard error.' }),
    shutdown_timeout: duration
      .prefault('30s')
      .meta({ description: 'How long SIGTERM may take to deliver and confirm what has been read.' }),
  });
}

export type PipelineDocument<S> = z.output<ReturnType<typeof pipelineSchema<S>>>;
