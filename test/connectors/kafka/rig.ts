import { tmpdir } from 'node:os';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import kafkajs, { type ITopicConfig } from 'kafkajs';
import { Cluster } from '../../../connectors/kafka/cluster/cluster.ts';
import {
  type KafkaConfig,
  type KafkaMapping,
  kafkaConfig,
  kafkaMapping,
} from '../../../connectors/kafka/config.ts';
import { kafkaConnector } from '../../../connectors/kafka/kafka-connector.ts';
import type { KafkaRoute } from '../../../connectors/kafka/kafka-route.ts';
import { BrokerConnection } from '../../../connectors/kafka/kafkajs/broker-connection.ts';
import { brokerAddress } from '../../../connectors/kafka/kafkajs/connection-settings.ts';
import { libraryLogger } from '../../../connectors/kafka/kafkajs/library-logger.ts';
import { decompress } from '../../../connectors/kafka/produce/compression.ts';
import { FETCH, LIST_OFFSETS } from '../../../connectors/kafka/wire/apis.ts';
import { readBatches } from '../../../connectors/kafka/wire/record-batch-reader.ts';
import { type Clock, systemClock } from '../../../src/clock.ts';
import { retry } from '../../../src/delivery/retry.ts';
import type { Mapping, Sink, SinkContext, WriteResult } from '../../../src/delivery/sink.ts';
import type { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { Checkpoint } from '../../../src/events/position.ts';
import type { Relation } from '../../../src/events/relation.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { type Metrics, noMetrics } from '../../../src/observe/metrics.ts';
import type { TestTopics, TopicRecord } from '../../support/kafka.ts';
import { waitFor } from '../../support/wait.ts';
import { type BatchOptions, type EventScript, mapping, relation, sinkContext } from '../batch-builder.ts';

// So that kafkajs, which reads the topics back, knows zstd.
kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = () => ({
  compress: async ({ buffer }: { buffer: Buffer }) => promisify(zstdCompress)(buffer),
  decompress: async (buffer: Buffer) => promisify(zstdDecompress)(buffer),
});

export interface RigOptions {
  readonly brokers: readonly string[];
  /** Begins every topic; the pipeline is named after it. */
  readonly prefix: string;
  /** As in YAML, over the rig's own. */
  readonly config?: Record<string, unknown> | undefined;
  readonly mapping?: Record<string, unknown> | undefined;
  readonly context?: Partial<SinkContext> | undefined;
}

/** Whole transactions of single-key rows. */
export const orders: Relation = relation({
  table: 'orders',
  columns: { id: 'int8', note: 'text' },
  key: ['id'],
});

/** One Kafka sink as a lane would drive it, with one mapping for all tables. */
export class KafkaRig {
  readonly config: KafkaConfig;
  readonly context: SinkContext;
  readonly mapping: Mapping<KafkaMapping>;
  readonly sink: Sink<KafkaRoute>;
  /** What made the lane try again. */
  readonly retried: TailraceError[] = [];
  readonly #routes = new Map<number, readonly KafkaRoute[]>();
  readonly #signal = new AbortController();
  #at: Checkpoint | undefined;

  constructor(options: RigOptions) {
    const pipeline = options.prefix.replace(/\.$/, '');
    this.config = kafkaConfig.parse({
      brokers: [...options.brokers],
      positions_topic: `${options.prefix}positions`,
      ...options.config,
    });
    this.mapping = mapping({ options: kafkaMapping.parse(options.mapping ?? {}) });
    this.context = sinkContext({ dataDir: tmpdir(), pipeline, name: 'events', ...options.context });
    this.sink = kafkaConnector.create(this.config, this.context);
  }

  get signal(): AbortSignal {
    return this.#signal.signal;
  }

  /** Opens as the lane does: for as long as it takes. */
  async open(): Promise<Checkpoint | undefined> {
    this.#at = await this.#patiently(async () => this.sink.open(this.signal));
    return this.#at;
  }

  /** Everything of the script after what has been delivered, in one batch. */
  async deliver(
    script: EventScript,
    options: Omit<BatchOptions<KafkaRoute>, 'routes'> = {},
  ): Promise<WriteResult> {
    const batch = await this.batch(script, { after: this.#at?.position, ...options });
    const result = await this.#patiently(async () => this.sink.write(batch, this.signal));
    this.#at = result.accepted;
    return result;
  }

  async batch(script: EventScript, options: Omit<BatchOptions<KafkaRoute>, 'routes'> = {}) {
    for (const { relation: table } of script.events) {
      if (!this.#routes.has(table.version)) await this.route(table);
    }
    return script.batch<KafkaRoute>({ ...options, routes: (table) => this.#routes.get(table.version) ?? [] });
  }

  async route(table: Relation): Promise<KafkaRoute> {
    const route = await this.#patiently(async () => this.sink.prepare(this.mapping, table, this.signal));
    this.#routes.set(table.version, [route]);
    return route;
  }

  async flush(): Promise<Checkpoint | undefined> {
    return this.#patiently(async () => this.sink.flush(this.signal));
  }

  abort(reason: Error): void {
    this.#signal.abort(reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sink.close();
  }

  async #patiently<T>(operation: () => Promise<T>): Promise<T> {
    return retry(operation, {
      clock: systemClock,
      signal: this.signal,
      backoff: { initialMs: 20, maxMs: 500 },
      onRetry: (error) => this.retried.push(error),
    });
  }
}

/** Codec codes (none 0, gzip 1, zstd 4) of a topic's record batches, as they lie in the brokers' logs. */
export async function batchCodecs(
  brokers: readonly string[],
  topic: string,
  partition: number,
): Promise<readonly number[]> {
  return withCluster(brokers, async (cluster) => {
    const leader = (await cluster.leaders(topic))[partition] ?? -1;
    const request = { topic, partition, offset: 0n, maxWaitMs: 0, maxBytes: 16 * 1024 * 1024 };
    const { records } = await (await cluster.node(leader)).request(FETCH, request);
    const codecs: number[] = [];
    for (let at = 0; at + 12 < records.length; at += 12 + records.readInt32BE(at + 8)) {
      codecs.push(records.readInt16BE(at + 21) & 0x07);
    }
    return codecs;
  });
}

/** Records in a topic's partitions, committed or not. */
export async function writtenRecords(brokers: readonly string[], topic: string): Promise<number> {
  return withCluster(brokers, async (cluster) => {
    let count = 0;
    for (const [partition, leader] of (await cluster.leaders(topic)).entries()) {
      const connection = await cluster.node(leader);
      count += Number((await connection.request(LIST_OFFSETS, { topic, partition, timestamp: -1n })).offset);
    }
    return count;
  });
}

/** Transactions that have been aborted, by their markers in a topic's partitions. */
export async function abortMarkers(brokers: readonly string[], topic: string): Promise<number> {
  return withCluster(brokers, async (cluster) => {
    let count = 0;
    for (const [partition, leader] of (await cluster.leaders(topic)).entries()) {
      const connection = await cluster.node(leader);
      // One answer never goes beyond a segment of the log.
      for (let offset = 0n, more = true; more; ) {
        const request = { topic, partition, offset, maxWaitMs: 0, maxBytes: 1024 * 1024 };
        const { records, lastStableOffset } = await connection.request(FETCH, request);
        const batches = await readBatches(records, decompress);
        count += batches.filter(({ control }) => control === 'abort').length;
        offset = (batches.at(-1)?.lastOffset ?? lastStableOffset) + 1n;
        more = offset < lastStableOffset;
      }
    }
    return count;
  });
}

async function withCluster<T>(brokers: readonly string[], use: (cluster: Cluster) => Promise<T>): Promise<T> {
  const settings = {
    clientId: 'tailrace-tests',
    tls: undefined,
    sasl: undefined,
    connectTimeoutMs: 5000,
    requestTimeoutMs: 5000,
    logger: libraryLogger(silentLogger),
  };
  const cluster = new Cluster({
    seeds: brokers.map(brokerAddress),
    openConnection: (address) => new BrokerConnection(address, settings),
  });
  try {
    return await use(cluster);
  } finally {
    cluster.close();
  }
}

/** The system's clock, ahead of its time. */
export class MovableClock implements Clock {
  aheadMs = 0;

  nowMs(): number {
    return systemClock.nowMs();
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.aheadMs;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal);
  }
}

/** Every look at it takes long. */
export class SlowClock extends MovableClock {
  override monotonicMs(): number {
    this.aheadMs += 100;
    return super.monotonicMs();
  }
}

/** Tells of one counter: the one with this label. */
export function countingMetrics(label: string, value: string, counted: () => void): Metrics {
  return {
    ...noMetrics,
    counter: (_name, _help, labels) => ({ add: () => void (labels?.[label] === value && counted()) }),
  };
}

/** Returns the full name when every partition has a leader. */
export async function createTopic(
  topics: TestTopics,
  topic: string,
  options: Omit<ITopicConfig, 'topic'> = {},
): Promise<string> {
  const name = topics.name(topic);
  await topics.admin.createTopics({
    waitForLeaders: false,
    topics: [{ numPartitions: 1, ...options, topic: name }],
  });
  await waitFor(async () => {
    const { topics: found } = await topics.admin.fetchTopicMetadata({ topics: [name] });
    return found[0]?.partitions.every(({ leader }) => leader >= 0);
  });
  return name;
}

/** What readers of committed transactions get, once there is as much as expected: a commit is answered before its markers are written. */
export async function readCommitted(
  topics: TestTopics,
  topic: string,
  count: number,
  wanted: (record: TopicRecord) => boolean = () => true,
): Promise<readonly TopicRecord[]> {
  return waitFor(
    async () => {
      const records = (await topics.read(topic)).filter(wanted);
      return records.length >= count ? records : undefined;
    },
    { describe: `${count} committed records in ${topic}` },
  );
}
