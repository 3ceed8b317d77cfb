import type { CheckInput, Finding } from '../../src/delivery/sink.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import { identityOf, KafkaClient, translatorOf } from './client.ts';
import type { Admin } from './cluster/admin.ts';
import { isFailure } from './cluster/failure.ts';
import type { KafkaConfig, KafkaMapping } from './config.ts';
import { TopicNames } from './topics/topic-name.ts';
import type { FailureTranslator } from './translate.ts';

const LOOPBACK = /^(localhost|127\.[\d.]+|\[::1\]):/;

type Input = CheckInput<KafkaConfig, KafkaMapping>;

/** Connects and looks; writes nothing, creates nothing, and shuts nobody out. */
export async function* checkKafka(input: Input): AsyncGenerator<Finding> {
  const { config, context, signal } = input;
  const translator = translatorOf(config, context);
  yield* withoutEncryption(config);
  let client: KafkaClient | undefined;
  try {
    client = await KafkaClient.create(config, context);
    const { admin } = client;
    const brokers = await admin.brokers();
    yield {
      level: 'ok',
      about: `Kafka answers at ${config.brokers.join(', ')}: ${brokers.length} broker(s).`,
    };
    yield* brokerLimits(input, admin, brokers);
    yield* transactions(input, admin, translator);
    yield* positionsTopic(input, admin);
    yield* tableTopics(input, admin);
  } catch (thrown) {
    signal.throwIfAborted();
    yield findingOf(
      isFailure(thrown) ? translator.translate(thrown, { doing: 'look at the cluster' }) : thrown,
    );
  } finally {
    client?.close();
  }
}

function* withoutEncryption({ tls, sasl, brokers }: KafkaConfig): Generator<Finding> {
  if (tls !== undefined || brokers.every((broker) => LOOPBACK.test(broker))) return;
  yield {
    level: 'warning',
    about:
      sasl?.mechanism === 'plain'
        ? 'The password and every record go over the network as they are.'
        : 'Every record goes over the network as it is.',
    fix: 'tls: true, and the port of a TLS listener.',
  };
}

async function* brokerLimits(
  { config, signal }: Input,
  admin: Admin,
  brokers: readonly number[],
): AsyncGenerator<Finding> {
  const [broker] = brokers;
  const settings = broker === undefined ? undefined : await admin.brokerConfig(broker, signal);
  if (settings === undefined) return;
  const maxTimeoutMs = Number(settings.get('transaction.max.timeout.ms') ?? Number.POSITIVE_INFINITY);
  if (config.exactlyOnce && config.transactionTimeoutMs > maxTimeoutMs) {
    yield {
      level: 'error',
      about: `transaction_timeout is ${config.transactionTimeoutMs} ms; the brokers allow ${maxTimeoutMs} ms.`,
      fix: `transaction_timeout: ${maxTimeoutMs}ms`,
    };
  }
  const maxRequestBytes = Number(settings.get('socket.request.max.bytes') ?? Number.POSITIVE_INFINITY);
  if (config.batch.requestBytes > maxRequestBytes / 2) {
    yield {
      level: 'warning',
      about: `batch.request_bytes is ${config.batch.requestBytes}; the brokers close a connection that sends more than ${maxRequestBytes} bytes at a time.`,
      fix: 'batch: { request_bytes: 4MiB }',
    };
  }
}

async function* transactions(
  { config, context, signal }: Input,
  admin: Admin,
  translator: FailureTranslator,
): AsyncGenerator<Finding> {
  const { transactionalId } = identityOf(config, context);
  if (transactionalId === undefined) return;
  try {
    await admin.findCoordinator(transactionalId, signal);
    yield { level: 'ok', about: `A transaction coordinator answers for ${transactionalId}.` };
  } catch (thrown) {
    signal.throwIfAborted();
    yield findingOf(translator.translate(thrown, { doing: `use the transactional id ${transactionalId}` }));
  }
}

async function* positionsTopic({ config, signal }: Input, admin: Admin): AsyncGenerator<Finding> {
  const name = config.positionsTopic;
  const topic = await admin.topic(name, signal);
  if (topic === undefined) {
    yield config.topics.create
      ? { level: 'ok', about: `The positions topic ${name} does not exist yet and will be created.` }
      : {
          level: 'error',
          about: `The positions topic ${name} does not exist (topics: { create: false }).`,
          fix: `kafka-topics.sh --bootstrap-server ${config.brokers[0]} --create --topic ${name} --config cleanup.policy=compact`,
        };
    return;
  }
  const policy = (await admin.topicConfig(name, signal))?.get('cleanup.policy');
  if (policy !== undefined && policy !== 'compact') {
    yield {
      level: 'error',
      about: `The positions topic ${name} has cleanup.policy=${policy}: positions would be deleted by age.`,
      fix: `kafka-configs.sh --bootstrap-server ${config.brokers[0]} --alter --topic ${name} --add-config cleanup.policy=compact`,
    };
  }
}

async function* tableTopics(
  { config, context, tables, signal }: Input,
  admin: Admin,
): AsyncGenerator<Finding> {
  const names = new TopicNames(context);
  for (const { mapping, relation } of tables) {
    let name: string;
    try {
      name = names.nameFor(mapping.options.topic, relation, mapping.where);
    } catch (thrown) {
      yield findingOf(thrown);
      continue;
    }
    const topic = await admin.topic(name, signal);
    const table = `${relation.schema}.${relation.table}`;
    if (topic === undefined) {
      yield config.topics.create
        ? { level: 'ok', about: `Topic ${name} of ${table} does not exist yet and will be created.` }
        : {
            level: 'error',
            about: `Topic ${name} of ${table} does not exist (topics: { create: false }, ${mapping.where}).`,
            fix: `kafka-topics.sh --bootstrap-server ${config.brokers[0]} --create --topic ${name} --partitions ${config.topics.partitions ?? '<n>'} --replication-factor ${config.topics.replicationFactor ?? '<n>'}`,
          };
      continue;
    }
    yield {
      level: 'ok',
      about: `Topic ${name} of ${table} exists, with ${topic.partitions.length} partition(s).`,
    };
    const settings = await admin.topicConfig(name, signal);
    if (settings === undefined) continue;
    yield* topicSettings({
      name,
      table,
      keyless: relation.key.length === 0,
      settings,
      config,
      replicas: topic.partitions[0]?.replicas.length ?? 0,
    });
  }
}

function* topicSettings(topic: {
  readonly name: string;
  readonly table: string;
  readonly keyless: boolean;
  readonly settings: ReadonlyMap<string, string>;
  readonly config: KafkaConfig;
  readonly replicas: number;
}): Generator<Finding> {
  const { name, table, keyless, settings, config, replicas } = topic;
  const alter = `kafka-configs.sh --bootstrap-server ${config.brokers[0]} --alter --topic ${name} --add-config`;
  if (keyless && (settings.get('cleanup.policy') ?? '').includes('compact')) {
    yield {
      level: 'error',
      about: `Topic ${name} is compacted and takes no record without a key; ${table} has none.`,
      fix: `${alter} cleanup.policy=delete`,
    };
  }
  const maxBytes = Number(settings.get('max.message.bytes') ?? Number.POSITIVE_INFINITY);
  if (config.maxRecordBytes !== undefined && config.maxRecordBytes > maxBytes) {
    yield {
      level: 'warning',
      about: `max_record_bytes is ${config.maxRecordBytes}; topic ${name} takes batches up to ${maxBytes} bytes.`,
      fix: `${alter} max.message.bytes=${config.maxRecordBytes + 1024}`,
    };
  }
  const inSync = Number(settings.get('min.insync.replicas') ?? 1);
  if (inSync > replicas) {
    yield {
      level: 'error',
      about: `Topic ${name} has ${replicas} replica(s) and min.insync.replicas=${inSync}: no write can be acknowledged.`,
      fix: `${alter} min.insync.replicas=${replicas}`,
    };
  }
}

function findingOf(thrown: unknown): Finding {
  if (thrown instanceof TailraceError) return { level: 'error', about: thrown.message, fix: thrown.fix };
  throw thrown;
}
