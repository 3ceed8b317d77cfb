import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { Logger } from '../../../src/observe/logger.ts';
import type { Admin } from '../cluster/admin.ts';
import type { KafkaConfig } from '../config.ts';
import { murmur2, partitionOf } from '../produce/murmur2.ts';
import type { RecordTarget } from '../produce/record-window.ts';
import type { AclResource, FailureTranslator } from '../translate.ts';
import { BATCH_HEADER_BYTES } from '../wire/record-batch-writer.ts';

/** Smaller gatherings than this are not tried, however often a topic refuses larger ones. */
const LEAST_PARTITION_BYTES = 16 * 1024;

/** A topic we write to. What may change while we run changes in place: routes hold on to it. */
export interface Topic extends RecordTarget {
  readonly topic: string;
  /** Number of partitions that keys are spread over. */
  partitions: number;
  partitionBytes: number;
  /** Of a record batch, after compression; undefined when we may not read it. */
  readonly maxMessageBytes: number | undefined;
  /** Where events without a key go: always the same, so that they stay in order. */
  keylessPartition: number;
}

export interface TopicsOptions {
  readonly admin: Admin;
  readonly config: Pick<KafkaConfig, 'topics' | 'batch' | 'brokers'>;
  readonly translator: FailureTranslator;
  readonly logger: Logger;
}

export interface TopicUse {
  readonly name: string;
  /** `public.orders -> events (tailrace.yaml:14:9)`, for errors. */
  readonly who: string;
  /** Some of its events have no key. */
  readonly keyless: boolean;
}

/** The topics of one sink: made to policy, and watched for a change of their number of partitions. */
export class Topics {
  readonly #options: TopicsOptions;
  readonly #topics = new Map<string, Topic>();
  /** Numbers of partitions that earlier events were spread over. */
  #stored: Readonly<Record<string, number>> = {};
  #changed = false;

  constructor(options: TopicsOptions) {
    this.#options = options;
  }

  /** What an earlier run stored; topics used from now on are compared with it. */
  restore(stored: Readonly<Record<string, number>>): void {
    this.#stored = stored;
  }

  /** The numbers to store. */
  counts(): Readonly<Record<string, number>> {
    return {
      ...this.#stored,
      ...Object.fromEntries([...this.#topics.values()].map(({ topic, partitions }) => [topic, partitions])),
    };
  }

  /** True once after the numbers to store have changed. */
  takeChanged(): boolean {
    const changed = this.#changed;
    this.#changed = false;
    return changed;
  }

  async use({ name, who, keyless }: TopicUse, signal: AbortSignal): Promise<Topic> {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      const partitions = this.#settleCount(name, this.#stored[name], await this.#ensure(name, who, signal));
      topic = {
        ...(await this.#limits(name, signal)),
        topic: name,
        partitions,
        keylessPartition: keylessPartition(name, partitions),
      };
      this.#topics.set(name, topic);
      this.#changed = true;
    }
    if (keyless) await this.#refuseCompacted(name, who, signal);
    return topic;
  }

  /** Looks whether somebody has added partitions, and what is to be done then. */
  async recheck(signal: AbortSignal): Promise<void> {
    const found = await this.#options.admin.topics([...this.#topics.keys()], signal);
    for (const topic of this.#topics.values()) {
      const count = found.get(topic.topic)?.partitions.length;
      if (count === undefined) continue;
      const settled = this.#settleCount(topic.topic, topic.partitions, count);
      if (settled === topic.partitions) continue;
      topic.partitions = settled;
      topic.keylessPartition = keylessPartition(topic.topic, settled);
      this.#changed = true;
    }
  }

  /** After "unknown topic": creates what is gone if the policy allows it, else names it. Topics that are there are left alone. */
  async restoreMissing(signal: AbortSignal): Promise<void> {
    const found = await this.#options.admin.topics([...this.#topics.keys()], signal);
    for (const name of this.#topics.keys()) {
      if (found.has(name)) continue;
      this.#options.logger.warn({ topic: name }, `topic ${name} has been deleted while it was written to`);
      await this.#ensure(name, 'a mapping of this sink', signal);
    }
  }

  /** A gathering of this size was refused: the next ones are half as large. */
  shrink(name: string, refusedBytes: number): void {
    const topic = this.#topics.get(name);
    if (topic === undefined) return;
    topic.partitionBytes = Math.max(LEAST_PARTITION_BYTES, Math.min(topic.partitionBytes, refusedBytes >> 1));
  }

  async #ensure(name: string, who: string, signal: AbortSignal): Promise<number> {
    const { admin, config, translator, logger } = this.#options;
    const operations = [...(config.topics.create ? ['Create'] : []), 'Describe', 'Write'];
    const needs: readonly AclResource[] = [{ kind: 'topic', name, operations }];
    const found = await admin.topic(name, signal).catch((thrown: unknown) => {
      throw translator.translate(thrown, { doing: `look at topic ${name}`, needs });
    });
    if (found !== undefined) return found.partitions.length;
    if (!config.topics.create) throw this.#missing(name, who);
    const created = await admin.create(name, config.topics, signal).catch((thrown: unknown) => {
      throw translator.translate(thrown, {
        doing: `create topic ${name} for ${who}`,
        needs,
      });
    });
    logger.info({ topic: name, partitions: created.partitions.length }, `created topic ${name}`);
    return created.partitions.length;
  }

  #missing(name: string, who: string): TailraceError {
    const { brokers, topics } = this.#options.config;
    return new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `Topic ${name} does not exist, and ${who} writes to it (topics: { create: false }).`,
      fix:
        `kafka-topics.sh --bootstrap-server ${brokers[0]} --create --topic ${name}` +
        ` --partitions ${topics.partitions ?? '<n>'} --replication-factor ${topics.replicationFactor ?? '<n>'}` +
        Object.entries(topics.config)
          .map(([key, value]) => ` --config ${key}=${value}`)
          .join(''),
    });
  }

  async #limits(
    name: string,
    signal: AbortSignal,
  ): Promise<Pick<Topic, 'partitionBytes' | 'maxMessageBytes'>> {
    const text = (await this.#config(name, signal))?.get('max.message.bytes');
    const maxMessageBytes = text === undefined ? undefined : Number(text);
    const { partitionBytes } = this.#options.config.batch;
    if (maxMessageBytes === undefined) return { maxMessageBytes, partitionBytes };
    return {
      maxMessageBytes,
      partitionBytes: Math.min(partitionBytes, maxMessageBytes - BATCH_HEADER_BYTES),
    };
  }

  async #refuseCompacted(name: string, who: string, signal: AbortSignal): Promise<void> {
    const policy = (await this.#config(name, signal))?.get('cleanup.policy') ?? '';
    if (!policy.includes('compact')) return;
    throw new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `Topic ${name} is compacted and takes no record without a key; ${who} has none.`,
      fix:
        `Give the table a primary key; or keep all its records:\n` +
        `kafka-configs.sh --bootstrap-server ${this.#options.config.brokers[0]} --alter --topic ${name} --add-config cleanup.policy=delete`,
    });
  }

  async #config(name: string, signal: AbortSignal): Promise<ReadonlyMap<string, string> | undefined> {
    try {
      return await this.#options.admin.topicConfig(name, signal);
    } catch (thrown) {
      throw this.#options.translator.translate(thrown, {
        doing: `read the settings of topic ${name}`,
        needs: [{ kind: 'topic', name, operations: ['DescribeConfigs'] }],
      });
    }
  }

  /** The number of partitions to use when earlier events were spread over `before` and there are `now`. */
  #settleCount(name: string, before: number | undefined, now: number): number {
    if (before === undefined || before === now) return now;
    const { partitionChange } = this.#options.config.topics;
    const what =
      `Topic ${name} had ${before} partitions and has ${now}: with the new number, events of a key go to another partition ` +
      'than the earlier ones, and consumers may see them in any order.';
    if (now < before && partitionChange !== 'follow') {
      throw new TailraceError({
        code: 'E_SINK_CONFIG',
        message: `${what} Kafka never takes partitions away: the topic has been deleted and created again, and what it held is gone.`,
        fix: `Create topic ${name} with ${before} partitions; or accept the new number with topics: { partition_change: follow }.`,
      });
    }
    if (partitionChange === 'stop') {
      throw new TailraceError({
        code: 'E_SINK_CONFIG',
        message: what,
        fix: 'topics: { partition_change: keep } goes on with the old number, follow with the new one.',
      });
    }
    this.#warnOnce(
      name,
      now,
      `${what} ${partitionChange === 'keep' ? `Only the first ${before} are used.` : `All ${now} are used from now on.`}`,
    );
    return partitionChange === 'keep' ? before : now;
  }

  readonly #warned = new Map<string, number>();

  #warnOnce(name: string, now: number, message: string): void {
    if (this.#warned.get(name) === now) return;
    this.#warned.set(name, now);
    this.#options.logger.warn({ topic: name, partitions: now }, message);
  }
}

function keylessPartition(topic: string, partitions: number): number {
  return partitionOf(murmur2(Buffer.from(topic)), partitions);
}
