import { z } from 'zod';
import { byteSize, duration } from '../../src/config/scalars.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';

/** Longest time a Node.js timer can hold. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** NAMEDATALEN - 1. https://www.postgresql.org/docs/current/runtime-config-preset.html */
const MAX_NAME_BYTES = 63;
const SLOT_NAME = /^[a-z0-9_]{1,63}$/;
/** https://www.postgresql.org/docs/current/warm-standby.html#STREAMING-REPLICATION-SLOTS */
const SLOT_NAME_RULE = 'a slot name holds only lower-case letters, digits and underscores, 63 at most';

export const SSL_MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

export const TARGET_SESSION_ATTRS = [
  'any',
  'read-write',
  'read-only',
  'primary',
  'standby',
  'prefer-standby',
] as const;
export type TargetSessionAttrs = (typeof TARGET_SESSION_ATTRS)[number];

export const NO_FALLBACK =
  'prefer and allow fall back to an unencrypted connection when the server, or somebody in between, asks for it; ' +
  'choose verify-full, or disable where no encryption is wanted';

const timer = duration.refine((ms) => ms > 0 && ms <= MAX_TIMER_MS, {
  error: 'expected a duration between 1ms and 24d',
});

const sslMode = z.enum(SSL_MODES, {
  error: ({ input }) =>
    input === 'prefer' || input === 'allow'
      ? `${String(input)} is refused: ${NO_FALLBACK}`
      : `expected one of ${SSL_MODES.join(', ')}`,
});

const ssl = z.strictObject({
  mode: sslMode.optional().meta({
    description:
      'How the connection is protected. verify-full: encrypted, the certificate is trusted and belongs to the host. verify-ca: trusted, ' +
      'whatever name it bears. require: encrypted only, anybody may be at the other end. disable: plain. Default: verify-full; disable for ' +
      'localhost, loopback addresses and Unix sockets. There is no mode that falls back to plain.',
    examples: ['verify-full'],
  }),
  ca: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        "Certificates that are trusted: a file or the PEM text itself; `system` for the operating system's. Default: " +
        '~/.postgresql/root.crt when there is one, else the public certificate authorities that Node.js ships.',
      examples: ['/etc/ssl/certs/rds-ca.pem', 'system'],
    }),
  cert: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: 'Client certificate: a file or the PEM text itself. Goes with `key`.',
      examples: ['/run/secrets/client.crt'],
    }),
  key: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: 'Private key of the client certificate: a file or the PEM text itself.',
      examples: ['/run/secrets/client.key'],
    }),
});

const PORT_SHAPE = 'expected a port between 1 and 65535, or several with commas, one for each host';
const port = z.union(
  [
    z.int({ error: PORT_SHAPE }).min(1, { error: PORT_SHAPE }).max(65_535, { error: PORT_SHAPE }),
    z.string().regex(/^\d{1,5}(,\d{1,5})*$/, { error: PORT_SHAPE }),
  ],
  { error: PORT_SHAPE },
);

const options = z.strictObject({
  url: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        'Where the database is, as libpq writes it: postgresql://user:password@host:5432/database?parameter=value. Several hosts are separated ' +
        'by commas and tried in order. What neither the URL nor the options below say is taken from the PG* environment variables.',
      examples: ['${DATABASE_URL}', 'postgresql://tailrace@db1,db2/shop?target_session_attrs=primary'],
    }),
  host: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        'Host name, address or directory of the Unix socket; several with commas. Instead of `url`.',
      examples: ['db.example.com'],
    }),
  port: port.optional().meta({ description: 'Default: PGPORT or 5432.', examples: [5432] }),
  database: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: 'Default: PGDATABASE or the name of the user.',
      examples: ['shop'],
    }),
  user: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: 'Default: PGUSER or the name of the account that runs the process.',
      examples: ['tailrace'],
    }),
  password: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: 'Default: PGPASSWORD, else the matching line of PGPASSFILE or ~/.pgpass.',
      examples: ['${PGPASSWORD}', 'file:/run/secrets/postgres-password'],
    }),
  ssl: ssl.optional().meta({ description: 'Encryption and trust.' }),
  target_session_attrs: z
    .enum(TARGET_SESSION_ATTRS)
    .optional()
    .meta({
      description:
        'Which of several hosts will do. Default: any for one host, primary for several: replication slots live on the primary.',
      examples: ['primary'],
    }),
  application_name: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        'Shown in pg_stat_activity and the server log, followed by what the connection is for. Default: PGAPPNAME or tailrace.',
      examples: ['tailrace-shop'],
    }),
  slot: z
    .string()
    .regex(SLOT_NAME, { error: SLOT_NAME_RULE })
    .optional()
    .meta({
      description: 'Logical replication slot. Default: tailrace_ and the name of the pipeline.',
      examples: ['tailrace_shop'],
    }),
  publication: z
    .string()
    .min(1)
    .refine((name) => Buffer.byteLength(name) <= MAX_NAME_BYTES, { error: 'expected at most 63 bytes' })
    .optional()
    .meta({
      description: 'Publication that names the tables. Default: the name of the slot.',
      examples: ['tailrace_shop'],
    }),
  manage: z
    .boolean()
    .default(true)
    .meta({
      description:
        'true: the slot and the publication are created and kept as the tables of this file say. false: they are only checked, and what is missing ' +
        'is reported with the SQL that mends it; the role then needs no privilege on the tables beyond reading.',
      examples: [false],
    }),
  heartbeat: z
    .strictObject({
      interval: timer.meta({ description: 'How often.' }),
    })
    .optional()
    .meta({
      description:
        'Writes a logical message at this interval, so that the slot moves on also while other databases of the server write all the WAL. Off unless given.',
      examples: [{ interval: '10s' }],
    }),
  confirm: z
    .enum(['auto', 'sinks', 'log'])
    .default('auto')
    .meta({
      description:
        'When the server may forget changes. auto: when every sink has them, or the event log once the slowest sink is more than wal_budget behind. ' +
        'sinks: only when every sink has them. log: as soon as the event log has them.',
      examples: ['auto'],
    }),
  wal_budget: byteSize
    .refine((bytes) => bytes > 0, { error: 'expected more than 0B' })
    .prefault('1GiB')
    .meta({
      description:
        'How much WAL the server may have to keep for a slow sink under confirm: auto. At most half of max_slot_wal_keep_size is used.',
    }),
  slot_create_timeout: timer.prefault('2m').meta({
    description:
      'How long creating the slot may wait for transactions that were open before it. After that the error names their processes.',
  }),
  connect_timeout: timer.optional().meta({
    description: 'For each address. Default: PGCONNECT_TIMEOUT or 10s.',
  }),
});

/** The `source:` block of the configuration; descriptions are the option reference. */
export const postgresSource = options.transform((given) => ({
  url: given.url,
  host: given.host,
  port: given.port,
  database: given.database,
  user: given.user,
  password: given.password,
  ssl: given.ssl,
  targetSessionAttrs: given.target_session_attrs,
  applicationName: given.application_name,
  slot: given.slot,
  publication: given.publication,
  manage: given.manage,
  heartbeat: given.heartbeat === undefined ? undefined : { intervalMs: given.heartbeat.interval },
  confirm: given.confirm,
  walBudgetBytes: given.wal_budget,
  slotCreateTimeoutMs: given.slot_create_timeout,
  connectTimeoutMs: given.connect_timeout,
}));

export type PostgresSourceConfig = Readonly<z.output<typeof postgresSource>>;

/** What the objects of a pipeline are called on the server. */
export interface ServerNames {
  readonly slot: string;
  readonly publication: string;
}

/**
 * As configured, else `tailrace_` and the pipeline's name in the characters a slot may have. Throws E_CONFIG when the pipeline's name cannot
 * be written so.
 */
export function serverNames(
  config: Pick<PostgresSourceConfig, 'slot' | 'publication'>,
  pipeline: string,
): ServerNames {
  const slot = config.slot ?? slotNameOf(pipeline);
  return { slot, publication: config.publication ?? slot };
}

function slotNameOf(pipeline: string): string {
  const slot = `tailrace_${pipeline.toLowerCase().replace(/[-. ]/g, '_')}`;
  if (SLOT_NAME.test(slot)) return slot;
  throw new TailraceError({
    code: 'E_CONFIG',
    message: `The replication slot cannot be named after the pipeline ${JSON.stringify(pipeline)}: ${SLOT_NAME_RULE}, and ${slot} does not fit.`,
    fix: 'source: { slot: <name> }',
  });
}
