import { z } from 'zod';
import { byteSize, duration } from '../../src/config/scalars.ts';
import { checkFormat, formatOptions } from '../../src/events/formats/record-format.ts';
import { topicTemplateProblem } from './topics/topic-name.ts';

const BROKER = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$/;
/** https://github.com/apache/kafka/blob/4.3.1/clients/src/main/java/org/apache/kafka/common/internals/Topic.java */
const TOPIC = /^[A-Za-z0-9._-]{1,249}$/;
const MAX_TIMER_MS = 2 ** 31 - 1;

const timer = duration.refine((ms) => ms > 0 && ms <= MAX_TIMER_MS, {
  error: 'expected a duration between 1ms and 24d',
});
const size = byteSize.refine((bytes) => bytes > 0, { error: 'expected more than 0B' });

const topicName = z.string().regex(TOPIC, {
  error: 'a topic name holds letters, digits, dots, underscores and hyphens, 249 at most',
});

const tls = z.strictObject({
  ca: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        'Certificates that are trusted: a file or the PEM text itself. Default: the public certificate authorities that Node.js ships.',
      examples: ['/etc/kafka/ca.pem'],
    }),
  cert: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: 'Client certificate (mutual TLS): a file or the PEM text itself. Goes with `key`.',
      examples: ['/run/secrets/kafka-client.crt'],
    }),
  key: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: 'Private key of the client certificate: a file or the PEM text itself.',
      examples: ['/run/secrets/kafka-client.key'],
    }),
  passphrase: z
    .string()
    .min(1)
    .optional()
    .meta({ description: 'Of an encrypted private key.', examples: ['${KAFKA_KEY_PASSPHRASE}'] }),
  server_name: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: 'Name the brokers’ certificates are issued to, when it is not the host they advertise.',
      examples: ['kafka.example.com'],
    }),
});

const sasl = z.strictObject({
  mechanism: z
    .enum(['plain', 'scram-sha-256', 'scram-sha-512'])
    .meta({ description: 'How the password is proven.', examples: ['scram-sha-512'] }),
  username: z
    .string()
    .min(1)
    .meta({ description: 'The principal is User:<username>.', examples: ['tailrace'] }),
  password: z
    .string()
    .min(1)
    .meta({ description: 'Its password.', examples: ['${KAFKA_PASSWORD}'] }),
});

const topics = z.strictObject({
  create: z
    .boolean()
    .default(true)
    .meta({
      description:
        'true: missing topics are created as the options below say. false: a missing topic is an error that holds the command to create it.',
      examples: [false],
    }),
  partitions: z
    .int()
    .positive()
    .optional()
    .meta({
      description: 'Of topics that are created. Default: the brokers’ num.partitions.',
      examples: [12],
    }),
  replication_factor: z
    .int()
    .positive()
    .max(32_767)
    .optional()
    .meta({
      description:
        'Of topics that are created, the positions topic too. Default: the brokers’ default.replication.factor.',
      examples: [3],
    }),
  config: z
    .record(z.string().min(1), z.union([z.string(), z.number(), z.boolean()]))
    .default({})
    .meta({
      description:
        'Topic settings of topics that are created, by Kafka’s own names; not for the positions topic.',
      examples: [{ 'cleanup.policy': 'compact', 'min.insync.replicas': 2 }],
    }),
  partition_change: z
    .enum(['keep', 'follow', 'stop'])
    .default('keep')
    .meta({
      description:
        'What happens when somebody adds partitions to a topic. A key’s partition depends on their number: with the new number, later events of ' +
        'a key go elsewhere than its earlier ones, and consumers see them in any order. keep: go on with the partitions there were, the new ones ' +
        'stay empty. follow: use the new number from then on. stop: stop with an error. It is logged in every case.',
      examples: ['follow'],
    }),
});

const batch = z.strictObject({
  events: z
    .int()
    .positive()
    .default(10_000)
    .meta({
      description:
        'Most events that one write, and with exactly_once one Kafka transaction, gathers from several source transactions.',
      examples: [20_000],
    }),
  bytes: size.prefault('8MiB').meta({ description: 'The same in bytes of event log.', examples: ['16MiB'] }),
  linger: duration.prefault('0ms').meta({
    description:
      'How long a batch waits for more events. At 0ms it takes what has arrived while the one before it was written: quick when there is ' +
      'little to do, large when there is much.',
    examples: ['5ms'],
  }),
  partition_bytes: size.prefault('500KiB').meta({
    description:
      'Most bytes of one partition in one request, before compression; never more than the topic’s max.message.bytes.',
    examples: ['900KiB'],
  }),
  request_bytes: size
    .prefault('4MiB')
    .meta({ description: 'Most bytes of one request, before compression.', examples: ['8MiB'] }),
});

const options = z
  .strictObject({
    brokers: z
      .array(z.string().regex(BROKER, { error: 'expected host:port' }))
      .min(1)
      .meta({
        description: 'Brokers to begin with; the others are found through them.',
        examples: [['kafka-1:9092', 'kafka-2:9092']],
      }),
    client_id: z
      .string()
      .min(1)
      .optional()
      .meta({
        description:
          'Name in the brokers’ logs, metrics and quotas. Default: tailrace, the pipeline and the sink with hyphens.',
        examples: ['tailrace-shop-events'],
      }),
    tls: z
      .union([z.boolean(), tls])
      .default(false)
      .meta({
        description:
          'true or an object: connections are encrypted, and the brokers’ certificates are verified against their names.',
        examples: [true],
      }),
    sasl: sasl.optional().meta({ description: 'Authentication by user name and password.' }),
    compression: z
      .enum(['none', 'gzip', 'zstd'])
      .default('none')
      .meta({ description: 'Of record batches. Consumers need to know the method.', examples: ['zstd'] }),
    exactly_once: z
      .boolean()
      .default(false)
      .meta({
        description:
          'true: every write is a Kafka transaction that holds whole source transactions and the position; a consumer with isolation.level ' +
          '= read_committed sees each event once, whatever crashes, and an older instance is shut out. false: after a crash the events since the ' +
          'last stored position come again.',
        examples: [true],
      }),
    transactional_id: z
      .string()
      .min(1)
      .optional()
      .meta({
        description:
          'With exactly_once. Default: tailrace, the pipeline and the sink with hyphens. Two instances with the same one shut each other out.',
        examples: ['tailrace-shop-events'],
      }),
    transaction_timeout: timer.prefault('60s').meta({
      description:
        'With exactly_once: when the brokers abort a transaction whose writer has gone silent. Not above their transaction.max.timeout.ms (15m). ' +
        'A write that takes longer than half of it is cut into several Kafka transactions.',
      examples: ['5m'],
    }),
    max_transaction_bytes: size.prefault('64MiB').meta({
      description:
        'A source transaction up to this size is never cut into several writes; a larger one is delivered in pieces, in order.',
      examples: ['256MiB'],
    }),
    max_record_bytes: size.optional().meta({
      description:
        'An event whose record is larger is refused (dead letter) without asking the broker. Default: only the topic’s max.message.bytes.',
      examples: ['5MiB'],
    }),
    topics: topics.prefault({}).meta({ description: 'How topics are made and watched.' }),
    positions_topic: topicName.default('tailrace-positions').meta({
      description:
        'Compacted topic that holds the position of every sink of every pipeline on this cluster; created when missing unless topics.create is false.',
      examples: ['tailrace-positions'],
    }),
    batch: batch.prefault({}).meta({ description: 'How much is sent at a time.' }),
    flush_interval: timer.prefault('1s').meta({
      description:
        'Without exactly_once: how often the position is stored while there is traffic. Events since then come again after a crash.',
      examples: ['500ms'],
    }),
    connect_timeout: timer
      .prefault('10s')
      .meta({ description: 'For one connection to one broker.', examples: ['5s'] }),
    request_timeout: timer.prefault('30s').meta({
      description: 'How long one request may stay unanswered before the connection is given up.',
      examples: ['15s'],
    }),
  })
  .superRefine((given, context) => {
    if (typeof given.tls === 'object' && (given.tls.cert === undefined) !== (given.tls.key === undefined)) {
      context.addIssue({ code: 'custom', path: ['tls'], message: 'cert and key go together' });
    }
    if (given.transactional_id !== undefined && !given.exactly_once) {
      context.addIssue({
        code: 'custom',
        path: ['transactional_id'],
        message: 'has no meaning without exactly_once: true',
      });
    }
  });

/** The options of a sink of type kafka; descriptions are the option reference. */
export const kafkaConfig = options.transform((given) => ({
  brokers: given.brokers,
  clientId: given.client_id,
  tls: given.tls === true ? {} : given.tls === false ? undefined : tlsOptions(given.tls),
  sasl: given.sasl,
  compression: given.compression,
  exactlyOnce: given.exactly_once,
  transactionalId: given.transactional_id,
  transactionTimeoutMs: given.transaction_timeout,
  maxTransactionBytes: given.max_transaction_bytes,
  maxRecordBytes: given.max_record_bytes,
  topics: {
    create: given.topics.create,
    partitions: given.topics.partitions,
    replicationFactor: given.topics.replication_factor,
    config: Object.fromEntries(
      Object.entries(given.topics.config).map(([name, value]) => [name, String(value)]),
    ),
    partitionChange: given.topics.partition_change,
  },
  positionsTopic: given.positions_topic,
  batch: {
    events: given.batch.events,
    bytes: given.batch.bytes,
    lingerMs: given.batch.linger,
    partitionBytes: given.batch.partition_bytes,
    requestBytes: given.batch.request_bytes,
  },
  flushIntervalMs: given.flush_interval,
  connectTimeoutMs: given.connect_timeout,
  requestTimeoutMs: given.request_timeout,
}));

export type KafkaConfig = Readonly<z.output<typeof kafkaConfig>>;
export type Compression = KafkaConfig['compression'];

export interface TlsOptions {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly passphrase?: string | undefined;
  readonly serverName?: string | undefined;
}

function tlsOptions({ server_name: serverName, ...rest }: z.output<typeof tls>): TlsOptions {
  return { ...rest, serverName };
}

/** One line of `to:` into a sink of type kafka. */
export const kafkaMapping = z
  .strictObject({
    topic: z
      .string()
      .min(1)
      .default('{pipeline}.{schema}.{table}')
      .superRefine((template, context) => {
        const problem = topicTemplateProblem(template);
        if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
      })
      .meta({
        description:
          'Topic of the table: {pipeline}, {database}, {schema} and {table} stand for names. What a topic name cannot have becomes an underscore.',
        examples: ['shop.{schema}.{table}'],
      }),
    ...formatOptions,
  })
  .superRefine(checkFormat);

export type KafkaMapping = Readonly<z.output<typeof kafkaMapping>>;
