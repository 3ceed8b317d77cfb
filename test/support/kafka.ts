import { randomBytes } from 'node:crypto';
import { type Admin, type ITopicConfig, Kafka, type KafkaMessage, logLevel } from 'kafkajs';
import { inject } from 'vitest';

export interface TestTopics extends AsyncDisposable {
  /** host:port of the run's Kafka. */
  readonly brokers: readonly string[];
  /** Begins every name of the test; topics of that prefix are deleted at the end, whoever made them. */
  readonly prefix: string;
  readonly kafka: Kafka;
  readonly admin: Admin;
  /** The full name of a topic. */
  name(topic: string): string;
  /** Creates a topic and returns its full name. Default: one partition. */
  create(topic: string, options?: Omit<ITopicConfig, 'topic'>): Promise<string>;
  /** What a reader of committed transactions gets now from a full-named topic, partition by partition, each in order. */
  read(topic: string): Promise<readonly TopicRecord[]>;
}

export type TopicRecord = KafkaMessage & { readonly partition: number };

/** Names of its own on the run's Kafka. Topics are not created by asking for them. */
export async function createTestTopics(): Promise<TestTopics> {
  const brokers = kafkaBrokers();
  const kafka = testKafka(brokers);
  const admin = kafka.admin();
  await admin.connect();
  return new ServerTopics({ brokers, kafka, admin, prefix: `t${randomBytes(6).toString('hex')}.` });
}

/** host:port of the run's Kafka, PLAINTEXT. */
export function kafkaBrokers(): readonly string[] {
  const server = inject('servers')?.kafka;
  if (server?.state !== 'running') {
    throw new Error('This run has no Kafka. A test file that needs it is called *.kafka.test.ts.');
  }
  return server.address.split(',');
}

/** A client for fixtures and checks, quiet and patient. */
export function testKafka(brokers: readonly string[]): Kafka {
  return new Kafka({
    clientId: 'tailrace-tests',
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, maxRetryTime: 1000, retries: 12 },
  });
}

interface TopicsParts {
  readonly brokers: readonly string[];
  readonly kafka: Kafka;
  readonly admin: Admin;
  readonly prefix: string;
}

class ServerTopics implements TestTopics {
  readonly brokers: readonly string[];
  readonly prefix: string;
  readonly kafka: Kafka;
  readonly admin: Admin;

  constructor(parts: TopicsParts) {
    this.brokers = parts.brokers;
    this.prefix = parts.prefix;
    this.kafka = parts.kafka;
    this.admin = parts.admin;
  }

  name(topic: string): string {
    return this.prefix + topic;
  }

  async create(topic: string, options: Omit<ITopicConfig, 'topic'> = {}): Promise<string> {
    const name = this.name(topic);
    await this.admin.createTopics({ topics: [{ numPartitions: 1, ...options, topic: name }] });
    return name;
  }

  async read(topic: string): Promise<readonly TopicRecord[]> {
    return readTopic(this.kafka, topic);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const topics = (await this.admin.listTopics()).filter((topic) => topic.startsWith(this.prefix));
    if (topics.length > 0) await this.admin.deleteTopics({ topics });
    const { groups } = await this.admin.listGroups();
    const ours = groups.map(({ groupId }) => groupId).filter((group) => group.startsWith(this.prefix));
    // A group whose member was killed has not emptied yet; it goes with the server.
    if (ours.length > 0) await this.admin.deleteGroups(ours).catch(() => {});
    await this.admin.disconnect();
  }
}

/** What a reader of committed transactions gets now, partition by partition, each in order. */
export async function readTopic(kafka: Kafka, topic: string): Promise<readonly TopicRecord[]> {
  const ends = await withAdmin(kafka, async (admin) => admin.fetchTopicOffsets(topic));
  // Where each partition's open transactions begin, or its end: read_committed goes no further.
  const unread = new Map(
    ends
      .filter(({ low, offset }) => low !== offset)
      .map(({ partition, offset }) => [partition, BigInt(offset)]),
  );
  if (unread.size === 0) return [];
  // By place: a reader that has to join again reads again.
  const records = new Map<string, TopicRecord>();
  const { promise: done, resolve, reject } = Promise.withResolvers<undefined>();
  const consumer = kafka.consumer({
    groupId: `tailrace-reader-${randomBytes(6).toString('hex')}`,
    maxWaitTimeInMs: 100,
    readUncommitted: false,
  });
  // Also tells of batches that held nothing but transaction markers and aborted records.
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload: { partition, lastOffset } }) => {
    const end = unread.get(partition);
    if (end !== undefined && BigInt(lastOffset) + 1n >= end) unread.delete(partition);
    if (unread.size === 0) resolve(undefined);
  });
  consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
    if (!restart) reject(error);
  });
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      eachBatch: async ({ batch }) => {
        for (const message of batch.messages) {
          records.set(`${batch.partition} ${message.offset}`, { ...message, partition: batch.partition });
        }
      },
    });
    await done;
  } finally {
    await consumer.disconnect();
  }
  return [...records.values()].sort(
    (a, b) => a.partition - b.partition || Number(BigInt(a.offset) - BigInt(b.offset)),
  );
}

async function withAdmin<T>(kafka: Kafka, use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}
