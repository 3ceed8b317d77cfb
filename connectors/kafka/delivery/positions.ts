import type { Clock } from '../../../src/clock.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import {
  type Checkpoint,
  comparePositions,
  restoreCheckpoint,
  type StoredCheckpoint,
  storeCheckpoint,
} from '../../../src/events/position.ts';
import type { Logger } from '../../../src/observe/logger.ts';
import type { Admin } from '../cluster/admin.ts';
import type { PartitionReader } from '../cluster/partition-reader.ts';
import type { KafkaConfig } from '../config.ts';
import { murmur2, partitionOf } from '../produce/murmur2.ts';
import { type RecordTarget, type RecordWindow, recordBytes } from '../produce/record-window.ts';
import type { Topics } from '../topics/topics.ts';
import type { FailureTranslator } from '../translate.ts';
import type { FetchedRecord } from '../wire/record-batch-reader.ts';

/** Pipelines on one cluster share the topic; those in one partition wait for each other's open transactions when they start. */
const PARTITIONS = 8;
/**
 * Read from its end at every start: small segments and eager compaction keep what may have to be read small, whatever the brokers' defaults.
 * Uncompressed, so that it can always be read again.
 */
const TOPIC_CONFIG = {
  'cleanup.policy': 'compact',
  'segment.bytes': String(16 * 1024 * 1024),
  'min.cleanable.dirty.ratio': '0.1',
  'compression.type': 'uncompressed',
};
/** The numbers of partitions are kept near the end, where an opening sink looks first. */
const TOPICS_INTERVAL_MS = 60_000;
const FIRST_LOOK_RECORDS = 2000n;
const LOOK_GROWTH = 4n;

interface StoredRecords {
  readonly position: StoredCheckpoint;
  /** Written by a sink that opens: what stands before it is complete when it can be read. */
  readonly session: { readonly id: string; readonly opened_at: string; readonly version: string };
  /** How many partitions keys were spread over, by topic. */
  readonly topics: { readonly partitions: Readonly<Record<string, number>> };
}

type Kind = keyof StoredRecords;

export interface StoredState {
  readonly checkpoint: Checkpoint | undefined;
  readonly partitions: Readonly<Record<string, number>>;
}

export interface PositionsOptions {
  readonly admin: Admin;
  readonly reader: PartitionReader;
  readonly config: Pick<KafkaConfig, 'positionsTopic' | 'topics' | 'brokers'>;
  readonly translator: FailureTranslator;
  readonly logger: Logger;
  readonly pipeline: string;
  readonly sink: string;
}

/**
 * The records of one sink in the positions topic. Each kind has a key of its own, so that compaction keeps the last of each;
 * all of them are in the partition of the first kind's key.
 */
export class Positions {
  readonly target: RecordTarget;
  readonly #options: PositionsOptions;
  readonly #keys: Readonly<Record<Kind, Buffer>>;
  #partitions = 0;
  #topicsDueMs = Number.NEGATIVE_INFINITY;

  constructor(options: PositionsOptions) {
    this.#options = options;
    this.target = { topic: options.config.positionsTopic, partitionBytes: Number.MAX_SAFE_INTEGER };
    const key = `${encodeURIComponent(options.pipeline)}/${encodeURIComponent(options.sink)}`;
    this.#keys = {
      position: Buffer.from(key),
      session: Buffer.from(`${key}#session`),
      topics: Buffer.from(`${key}#topics`),
    };
  }

  get partition(): number {
    return partitionOf(murmur2(this.#keys.position), this.#partitions);
  }

  /** The topic exists and keeps what is written to it. */
  async prepare(signal: AbortSignal): Promise<void> {
    const { admin, config, translator, logger } = this.#options;
    const name = config.positionsTopic;
    try {
      let topic = await admin.topic(name, signal);
      if (topic === undefined) {
        if (!config.topics.create) throw this.#missing();
        const { replicationFactor } = config.topics;
        topic = await admin.create(
          name,
          { partitions: PARTITIONS, replicationFactor, config: TOPIC_CONFIG },
          signal,
        );
        logger.info({ topic: name }, `created the positions topic ${name}`);
      }
      this.#partitions = topic.partitions.length;
      const policy = (await admin.topicConfig(name, signal))?.get('cleanup.policy');
      if (policy !== undefined && policy !== 'compact') throw this.#notCompacted(policy);
    } catch (thrown) {
      throw translator.translate(thrown, {
        doing: `use the positions topic ${name}`,
        needs: [{ kind: 'topic', name, operations: ['Describe', 'Create', 'Read', 'Write'] }],
      });
    }
  }

  addSession(window: RecordWindow, session: { id: string; version: string; nowMs: number }): void {
    const { id, version, nowMs } = session;
    this.#add(window, 'session', { id, opened_at: new Date(nowMs).toISOString(), version }, nowMs);
  }

  /** The checkpoint; and the numbers of partitions when they have changed, or have not been written for a while. */
  addState(
    window: RecordWindow,
    state: { readonly checkpoint: Checkpoint; readonly topics: Topics; readonly clock: Clock },
  ): void {
    const { checkpoint, topics, clock } = state;
    const nowMs = clock.nowMs();
    if (topics.takeChanged() || clock.monotonicMs() >= this.#topicsDueMs) {
      this.#topicsDueMs = clock.monotonicMs() + TOPICS_INTERVAL_MS;
      this.#add(window, 'topics', { partitions: topics.counts() }, nowMs);
    }
    this.#add(window, 'position', storeCheckpoint(checkpoint), nowMs);
  }

  /** What was to be stored last was not. */
  forgetTopics(): void {
    this.#topicsDueMs = Number.NEGATIVE_INFINITY;
  }

  /**
   * What was stored last, complete: reading ends at the session record with this id, and an open transaction before it, of whoever shares the
   * partition, is waited for.
   */
  async readBack(sessionId: string, signal: AbortSignal): Promise<StoredState> {
    const isOurSession = (record: FetchedRecord): boolean =>
      record.key?.equals(this.#keys.session) === true &&
      this.#read('session', record, ({ id }) => id) === sessionId;
    const here = await this.#latest({
      partition: this.partition,
      kinds: ['position', 'topics'],
      isEnd: isOurSession,
      signal,
    });
    return {
      checkpoint:
        here.position === undefined
          ? await this.#elsewhere(signal)
          : this.#read('position', here.position, restoreCheckpoint),
      partitions:
        here.topics === undefined ? {} : this.#read('topics', here.topics, ({ partitions }) => partitions),
    };
  }

  /** Id of the session record written last. */
  async latestSession(signal: AbortSignal): Promise<string | undefined> {
    const { session } = await this.#latest({ partition: this.partition, kinds: ['session'], signal });
    return session === undefined ? undefined : this.#read('session', session, ({ id }) => id);
  }

  /** When partitions have been added to the positions topic the key has moved: the record is where it was written. */
  async #elsewhere(signal: AbortSignal): Promise<Checkpoint | undefined> {
    let newest: Checkpoint | undefined;
    for (let partition = 0; partition < this.#partitions; partition++) {
      if (partition === this.partition) continue;
      const { position } = await this.#latest({ partition, kinds: ['position'], signal });
      if (position === undefined) continue;
      const checkpoint = this.#read('position', position, restoreCheckpoint);
      if (newest === undefined || comparePositions(newest.position, checkpoint.position) < 0)
        newest = checkpoint;
    }
    return newest;
  }

  /**
   * The last record of each kind before the end. Looks at the partition's last records first and further back only for what is not
   * among them: other sinks may have written much more than we, and compaction comes late.
   */
  async #latest(search: {
    readonly partition: number;
    readonly kinds: readonly Kind[];
    /** The record before which to look; absent: the end of what is written now. */
    readonly isEnd?: ((record: FetchedRecord) => boolean) | undefined;
    readonly signal: AbortSignal;
  }): Promise<Partial<Record<Kind, FetchedRecord>>> {
    const { partition, kinds, isEnd, signal } = search;
    const { reader } = this.#options;
    const topic = this.target.topic;
    const { first, end } = await reader.bounds(topic, partition, signal);
    const found: Partial<Record<Kind, FetchedRecord>> = {};
    let until = isEnd === undefined ? end : undefined;
    let records = FIRST_LOOK_RECORDS;
    for (let from = later(first, end - records); ; from = later(first, from - records)) {
      const here: Partial<Record<Kind, FetchedRecord>> = {};
      await reader.scan({
        topic,
        partition,
        from,
        until,
        signal,
        onHeldBack: () => this.#tellHeldBack(partition),
        visit: (record) => {
          if (until === undefined && isEnd?.(record) === true) return true;
          for (const kind of kinds) if (record.key?.equals(this.#keys[kind]) === true) here[kind] = record;
          return false;
        },
      });
      for (const kind of kinds) {
        const record = found[kind] ?? here[kind];
        if (record !== undefined) found[kind] = record;
      }
      if (from === first || kinds.every((kind) => found[kind] !== undefined)) return found;
      until = from;
      records *= LOOK_GROWTH;
    }
  }

  #toldMs = Number.NEGATIVE_INFINITY;

  #tellHeldBack(partition: number): void {
    const nowMs = performance.now();
    if (nowMs - this.#toldMs < 5000) return;
    this.#toldMs = nowMs;
    const { topic } = this.target;
    this.#options.logger.info(
      { topic, partition },
      `waiting for an open transaction in ${topic}/${partition}; it ends by its transaction.timeout.ms at the latest`,
    );
  }

  #add<K extends Kind>(window: RecordWindow, kind: K, record: StoredRecords[K], timestampMs: number): void {
    const { out } = window;
    const keyStart = out.length;
    out.bytes(this.#keys[kind]);
    const valueStart = out.length;
    out.utf8(JSON.stringify({ kind, ...record }));
    window.add({
      target: this.target,
      partition: this.partition,
      item: -1,
      keyStart,
      keyEnd: valueStart,
      valueStart,
      valueEnd: out.length,
      headers: [],
      timestampMs,
      bytes: recordBytes(valueStart - keyStart, out.length - valueStart, []),
    });
  }

  /** A record that cannot be read is never taken for none. */
  #read<K extends Kind, T>(kind: K, record: FetchedRecord, convert: (stored: StoredRecords[K]) => T): T {
    try {
      const parsed = JSON.parse(record.value?.toString() ?? '') as { readonly kind: Kind } & StoredRecords[K];
      if (parsed.kind !== kind) throw new RangeError(`Not a ${kind} record`);
      return convert(parsed);
    } catch (cause) {
      throw new TailraceError({
        code: 'E_SINK_CONFIG',
        message: `The ${kind} record of sink ${this.#options.sink} in ${this.target.topic}, offset ${record.offset}, is not one of ours.`,
        fix: `Nobody else may write to ${this.target.topic}: set positions_topic to a topic of our own.`,
        cause,
      });
    }
  }

  #missing(): TailraceError {
    const { brokers, positionsTopic, topics } = this.#options.config;
    const settings = Object.entries(TOPIC_CONFIG).map(([key, value]) => ` --config ${key}=${value}`);
    return new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `The positions topic ${positionsTopic} does not exist (topics: { create: false }).`,
      fix:
        `kafka-topics.sh --bootstrap-server ${brokers[0]} --create --topic ${positionsTopic}` +
        ` --partitions ${PARTITIONS} --replication-factor ${topics.replicationFactor ?? '<n>'}${settings.join('')}`,
    });
  }

  #notCompacted(policy: string): TailraceError {
    const { brokers, positionsTopic } = this.#options.config;
    return new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `The positions topic ${positionsTopic} has cleanup.policy=${policy}: positions would be deleted by age.`,
      fix: `kafka-configs.sh --bootstrap-server ${brokers[0]} --alter --topic ${positionsTopic} --add-config cleanup.policy=compact`,
    });
  }
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
