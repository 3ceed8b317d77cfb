import type { Clock } from '../../../src/clock.ts';
import { CREATE_TOPIC, DESCRIBE_CONFIG, type TopicMetadata } from '../wire/apis.ts';
import { type Cluster, failureOf, throwIfError } from './cluster.ts';
import { isFailure, KafkaFailure } from './failure.ts';
import { patiently } from './patience.ts';

const CREATE_TIMEOUT_MS = 15_000;

export interface TopicPolicy {
  /** Absent: the brokers' default. */
  readonly partitions?: number | undefined;
  readonly replicationFactor?: number | undefined;
  readonly config: Readonly<Record<string, string>>;
}

/** What is asked and made of a cluster besides records. Rejects with a KafkaFailure. */
export class Admin {
  readonly #cluster: Cluster;
  readonly #clock: Clock;
  readonly #patienceMs: number;

  constructor(options: { readonly cluster: Cluster; readonly clock: Clock; readonly patienceMs: number }) {
    this.#cluster = options.cluster;
    this.#clock = options.clock;
    this.#patienceMs = options.patienceMs;
  }

  /** Ids of the brokers. */
  async brokers(): Promise<readonly number[]> {
    const { nodes } = await this.#cluster.refresh([]);
    return nodes.map(({ id }) => id);
  }

  /** Undefined when it does not exist; asked anew every time. */
  async topic(name: string, signal: AbortSignal): Promise<TopicMetadata | undefined> {
    return (await this.topics([name], signal)).get(name);
  }

  /** Those that exist. */
  async topics(names: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, TopicMetadata>> {
    if (names.length === 0) return new Map();
    return this.#patiently(signal, async () => {
      const { topics } = await this.#cluster.refresh(names);
      const found = new Map<string, TopicMetadata>();
      for (const topic of topics) {
        const failure = failureOf(topic.errorCode, topic.topic);
        if (failure?.reason === 'UNKNOWN_TOPIC_OR_PARTITION') continue;
        if (failure !== undefined) throw failure;
        found.set(topic.topic, topic);
      }
      return found;
    });
  }

  /** A topic that exists already is left as it is. Resolves when its partitions have leaders. */
  async create(name: string, policy: TopicPolicy, signal: AbortSignal): Promise<TopicMetadata> {
    await this.#patiently(signal, async () => {
      const controller = await this.#cluster.controller();
      const request = {
        topic: name,
        partitions: policy.partitions ?? -1,
        replicationFactor: policy.replicationFactor ?? -1,
        config: policy.config,
        timeoutMs: CREATE_TIMEOUT_MS,
      };
      const { errorCode } = await controller.request(CREATE_TOPIC, request, {
        timeoutMs: CREATE_TIMEOUT_MS + 1000,
      });
      const failure = failureOf(errorCode);
      if (failure?.reason === 'NOT_CONTROLLER') await this.#cluster.refresh([]);
      if (failure !== undefined && failure.reason !== 'TOPIC_ALREADY_EXISTS') throw failure;
    });
    return this.#patiently(signal, async () => {
      const topic = await this.topic(name, signal);
      if (topic === undefined)
        throw new KafkaFailure({ kind: 'missing', reason: 'UNKNOWN_TOPIC_OR_PARTITION' });
      if (topic.partitions.length === 0 || topic.partitions.some(({ leader }) => leader < 0)) {
        throw new KafkaFailure({ kind: 'unavailable', reason: 'LEADER_NOT_AVAILABLE' });
      }
      return topic;
    });
  }

  /** Effective settings; undefined when we are not allowed to read them. */
  async topicConfig(name: string, signal: AbortSignal): Promise<ReadonlyMap<string, string> | undefined> {
    return this.#config({ kind: 'topic', name }, signal);
  }

  async brokerConfig(id: number, signal: AbortSignal): Promise<ReadonlyMap<string, string> | undefined> {
    return this.#config({ kind: 'broker', name: String(id) }, signal);
  }

  /** Resolves when a coordinator answers for the id: what a transactional producer asks first. */
  async findCoordinator(transactionalId: string, signal: AbortSignal): Promise<void> {
    await this.#patiently(signal, async () => {
      this.#cluster.forgetCoordinator(transactionalId);
      await this.#cluster.coordinator(transactionalId);
    });
  }

  async #config(
    resource: { readonly kind: 'topic' | 'broker'; readonly name: string },
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, string> | undefined> {
    try {
      return await this.#patiently(signal, async () => {
        const answer =
          resource.kind === 'broker'
            ? await (await this.#cluster.node(Number(resource.name))).request(DESCRIBE_CONFIG, resource)
            : await this.#cluster.any(DESCRIBE_CONFIG, resource);
        throwIfError(answer.errorCode);
        return answer.config;
      });
    } catch (thrown) {
      if (isFailure(thrown, 'forbidden')) return undefined;
      throw thrown;
    }
  }

  async #patiently<T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    return patiently({ clock: this.#clock, patienceMs: this.#patienceMs, signal }, attempt);
  }
}
