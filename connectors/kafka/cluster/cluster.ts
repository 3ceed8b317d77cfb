import type { BrokerAddress, BrokerConnection } from '../kafkajs/broker-connection.ts';
import {
  type Api,
  type ClusterMetadata,
  FIND_COORDINATOR,
  METADATA,
  type TopicMetadata,
} from '../wire/apis.ts';
import { protocolError } from '../wire/protocol-errors.ts';
import { KafkaFailure, kindOfProtocolError } from './failure.ts';

export type OpenConnection = (address: BrokerAddress) => BrokerConnection;

/**
 * The brokers of one cluster: who they are, who leads which partition, who coordinates a transactional id. What it knows is renewed when it is asked to
 * forget it, which callers do after an answer that says so. Rejects with a KafkaFailure.
 */
export class Cluster {
  readonly #seeds: readonly BrokerAddress[];
  readonly #openConnection: OpenConnection;
  readonly #connections = new Map<string, BrokerConnection>();
  readonly #nodes = new Map<number, BrokerAddress>();
  readonly #topics = new Map<string, TopicMetadata>();
  readonly #coordinators = new Map<string, number>();
  #controller = -1;
  #nextSeed = 0;
  #closed = false;

  constructor(options: {
    readonly seeds: readonly BrokerAddress[];
    readonly openConnection: OpenConnection;
  }) {
    this.#seeds = options.seeds;
    this.#openConnection = options.openConnection;
  }

  /** To the broker with this id. */
  async node(id: number): Promise<BrokerConnection> {
    if (!this.#nodes.has(id)) await this.refresh([]);
    const address = this.#nodes.get(id);
    if (address === undefined)
      throw new KafkaFailure({ kind: 'unavailable', reason: `broker ${id} is not there` });
    return this.#connectionTo(address);
  }

  async controller(): Promise<BrokerConnection> {
    if (this.#controller < 0) await this.refresh([]);
    return this.node(this.#controller);
  }

  /** Asks any broker that answers, trying one after the other; what a broker refuses is final. */
  async any<Request, Response>(api: Api<Request, Response>, request: Request): Promise<Response> {
    let failure: KafkaFailure | undefined;
    for (const connection of this.#candidates()) {
      try {
        return await connection.request(api, request);
      } catch (thrown) {
        if (!(thrown instanceof KafkaFailure) || thrown.kind !== 'unavailable') throw thrown;
        failure ??= thrown;
      }
    }
    throw failure ?? new KafkaFailure({ kind: 'unavailable', reason: 'no broker' });
  }

  /** Fresh metadata, errors of single topics included; no topics: of the brokers alone. */
  async refresh(topics: readonly string[]): Promise<ClusterMetadata> {
    const metadata = await this.any(METADATA, { topics });
    if (metadata.nodes.length > 0) {
      this.#nodes.clear();
      for (const { id, host, port } of metadata.nodes) this.#nodes.set(id, { host, port });
      this.#closeStrangers();
    }
    this.#controller = metadata.controller;
    for (const topic of metadata.topics) this.#topics.set(topic.topic, topic);
    return metadata;
  }

  /** The leaders of a topic's partitions by partition; -1: none for now. From memory when it is known. */
  async leaders(topic: string): Promise<readonly number[]> {
    const known = this.#topics.get(topic);
    const metadata =
      known !== undefined && known.errorCode === 0
        ? known
        : (await this.refresh([topic])).topics.find((found) => found.topic === topic);
    throwIfError(metadata?.errorCode ?? -1, topic);
    const leaders: number[] = [];
    for (const { partition, leader } of metadata?.partitions ?? []) leaders[partition] = leader;
    return leaders;
  }

  forgetTopics(topics: Iterable<string>): void {
    for (const topic of topics) this.#topics.delete(topic);
  }

  /** The broker that coordinates the transactional id. From memory when it is known. */
  async coordinator(transactionalId: string): Promise<BrokerConnection> {
    let id = this.#coordinators.get(transactionalId);
    if (id === undefined) {
      const { errorCode, node } = await this.any(FIND_COORDINATOR, { transactionalId });
      throwIfError(errorCode);
      this.#nodes.set(node.id, { host: node.host, port: node.port });
      this.#coordinators.set(transactionalId, node.id);
      id = node.id;
    }
    return this.node(id);
  }

  forgetCoordinator(transactionalId: string): void {
    this.#coordinators.delete(transactionalId);
  }

  nodes(): ReadonlyMap<number, BrokerAddress> {
    return this.#nodes;
  }

  /** At once; requests that wait for an answer fail. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  *#candidates(): Generator<BrokerConnection> {
    const tried = new Set<string>();
    const known = [...this.#nodes.values()];
    const connected = [...this.#connections.values()].filter((connection) => connection.connected);
    const seeds = this.#seeds.map(
      (_, i) => this.#seeds[(this.#nextSeed + i) % this.#seeds.length] as BrokerAddress,
    );
    this.#nextSeed++;
    for (const address of [...connected.map((connection) => connection.address), ...known, ...seeds]) {
      const name = nameOf(address);
      if (tried.has(name)) continue;
      tried.add(name);
      yield this.#connectionTo(address);
    }
  }

  #connectionTo(address: BrokerAddress): BrokerConnection {
    if (this.#closed) throw new KafkaFailure({ kind: 'unavailable', reason: 'closed' });
    const name = nameOf(address);
    let connection = this.#connections.get(name);
    if (connection === undefined) {
      connection = this.#openConnection(address);
      this.#connections.set(name, connection);
    }
    return connection;
  }

  /** Connections to brokers that have left, or moved to another address, and to a seed that goes by another name. */
  #closeStrangers(): void {
    const known = new Set([...this.#nodes.values()].map(nameOf));
    for (const [name, connection] of this.#connections) {
      if (known.has(name)) continue;
      connection.close();
      this.#connections.delete(name);
    }
  }
}

export function throwIfError(code: number, topic?: string): void {
  const failure = failureOf(code, topic);
  if (failure !== undefined) throw failure;
}

/** Undefined for success. */
export function failureOf(code: number, topic?: string): KafkaFailure | undefined {
  if (code === 0) return undefined;
  const { name, retriable } = protocolError(code);
  return new KafkaFailure({ kind: kindOfProtocolError(name, retriable), reason: name, topic });
}

function nameOf({ host, port }: BrokerAddress): string {
  return `${host}:${port}`;
}
