import type { Clock } from '../../../src/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { failureOf } from '../cluster/cluster.ts';
import { isFailure, KafkaFailure } from '../cluster/failure.ts';
import { patiently } from '../cluster/patience.ts';
import {
  ADD_PARTITIONS_TO_TXN,
  END_TXN,
  INIT_PRODUCER_ID,
  PRODUCE,
  type ProduceResult,
  type ProducerIdentity,
} from '../wire/apis.ts';
import {
  type BatchIdentity,
  type CompressionCode,
  writeBatch,
  writeRecords,
} from '../wire/record-batch-writer.ts';
import { WireWriter } from '../wire/wire-writer.ts';
import type { CompressionCodec } from './compression.ts';
import type { Producer, SendFailure, SendOutcome } from './producer.ts';
import type { PartitionRecords } from './record-window.ts';

const MAX_SEQUENCE = 0x7fff_ffff;
const NOT_SENT: SendFailure = {
  failure: new KafkaFailure({ kind: 'unavailable', reason: 'not sent' }),
  badRecords: [],
};

export interface SessionOptions {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly codec: CompressionCodec | undefined;
  readonly requestTimeoutMs: number;
  /** How long leaders and coordinators may be away before a call gives up. */
  readonly patienceMs: number;
  /** Present: a transactional session. */
  readonly transaction?: { readonly id: string; readonly timeoutMs: number } | undefined;
}

interface Unsent {
  readonly index: number;
  readonly records: PartitionRecords;
  readonly compressed: { readonly code: CompressionCode; readonly records: Uint8Array } | undefined;
}

/**
 * An idempotent or transactional producer over Kafka's protocol. One request at a time per broker, so that records of a partition cannot
 * overtake each other; a partition's sequence number moves only when its batch is acknowledged.
 */
export class ProducerSession implements Producer {
  readonly #options: SessionOptions;
  #identity: ProducerIdentity | undefined;
  /** Next sequence number by `topic/partition`. */
  readonly #sequences = new Map<string, number>();
  /** What may have been stored although nobody said so, by `topic/partition`: nothing else may take its sequence numbers. */
  readonly #inDoubt = new Map<string, PartitionRecords>();
  /** Partitions the open transaction knows of. */
  readonly #enlisted = new Set<string>();

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  async open(signal: AbortSignal): Promise<void> {
    const { transaction } = this.#options;
    const request = {
      transactionalId: transaction?.id ?? null,
      transactionTimeoutMs: transaction?.timeoutMs ?? this.#options.requestTimeoutMs,
    };
    await this.#patiently(signal, async () => {
      const answer =
        transaction === undefined
          ? await this.#options.cluster.any(INIT_PRODUCER_ID, request)
          : await this.#coordinated(async (coordinator) => coordinator.request(INIT_PRODUCER_ID, request));
      this.#throwIfError(answer.errorCode);
      this.#identity = answer;
    });
  }

  begin(): void {
    this.#enlisted.clear();
  }

  async send(batches: readonly PartitionRecords[], signal: AbortSignal): Promise<readonly SendOutcome[]> {
    for (const records of batches) this.#refuseOthers(records);
    const outcomes: SendOutcome[] = batches.map(() => NOT_SENT);
    let unsent = await Promise.all(batches.map(async (records, index) => this.#prepare(records, index)));
    await this.#enlist(batches, signal);
    try {
      await this.#patiently(signal, async () => {
        unsent = await this.#sendOnce(unsent, outcomes);
        const [first] = unsent;
        if (first === undefined) return;
        this.#options.cluster.forgetTopics(unsent.map(({ records }) => records.topic));
        throw outcomes[first.index]?.failure ?? NOT_SENT.failure;
      });
    } catch (thrown) {
      // What it gave up on has its failure in `outcomes`.
      if (!isFailure(thrown)) throw thrown;
    }
    return outcomes;
  }

  async commit(signal: AbortSignal): Promise<void> {
    await this.#end(true, signal);
  }

  async abort(signal: AbortSignal): Promise<void> {
    await this.#end(false, signal);
  }

  close(): void {
    this.#options.cluster.close();
  }

  async #end(committed: boolean, signal: AbortSignal): Promise<void> {
    // A transaction the coordinator was never told of does not exist for it.
    if (this.#enlisted.size === 0) return;
    const request = { ...this.#known, transactionalId: this.#transactionalId, committed };
    // Asked again after a lost answer: the coordinator says yes to what it has already done for this epoch.
    await this.#patiently(signal, async () => {
      const { errorCode } = await this.#coordinated(async (coordinator) =>
        coordinator.request(END_TXN, request),
      );
      this.#throwIfError(errorCode);
    });
    this.#enlisted.clear();
  }

  async #prepare(records: PartitionRecords, index: number): Promise<Unsent> {
    const { codec } = this.#options;
    if (codec === undefined) return { index, records, compressed: undefined };
    const out = new WireWriter();
    writeRecords(out, records);
    return { index, records, compressed: { code: codec.code, records: await codec.compress(out.view()) } };
  }

  /** Tells the coordinator of partitions that are new in this transaction. */
  async #enlist(batches: readonly PartitionRecords[], signal: AbortSignal): Promise<void> {
    if (this.#options.transaction === undefined) return;
    const fresh = batches.filter((records) => !this.#enlisted.has(nameOf(records)));
    if (fresh.length === 0) return;
    const byTopic = new Map<string, number[]>();
    for (const { topic, partition } of fresh) byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition]);
    const request = {
      ...this.#known,
      transactionalId: this.#transactionalId,
      topics: [...byTopic].map(([topic, partitions]) => ({ topic, partitions })),
    };
    await this.#patiently(signal, async () => {
      const results = await this.#coordinated(async (coordinator) =>
        coordinator.request(ADD_PARTITIONS_TO_TXN, request),
      );
      // One bad partition fails all of them; the others then say only OPERATION_NOT_ATTEMPTED.
      const errors = results
        .map(({ errorCode, topic }) => failureOf(errorCode, topic))
        .filter((failure) => failure !== undefined);
      const telling = errors.find(({ reason }) => reason !== 'OPERATION_NOT_ATTEMPTED') ?? errors[0];
      if (telling !== undefined) throw this.#noted(telling);
    });
    for (const records of fresh) this.#enlisted.add(nameOf(records));
  }

  /** One request to each leader; returns what has to be sent again, and notes in `outcomes` what became of the others. */
  async #sendOnce(unsent: readonly Unsent[], outcomes: SendOutcome[]): Promise<Unsent[]> {
    const byLeader = new Map<number, Unsent[]>();
    const again: Unsent[] = [];
    for (const one of unsent) {
      const leader = await this.#leaderOf(one.records).catch((thrown: unknown) => {
        if (!isFailure(thrown)) throw thrown;
        outcomes[one.index] = { failure: thrown, badRecords: [] };
        if (isRepeatable(thrown)) again.push(one);
        return undefined;
      });
      if (leader === undefined) continue;
      const group = byLeader.get(leader);
      if (group === undefined) byLeader.set(leader, [one]);
      else group.push(one);
    }
    const settled = await Promise.all(
      [...byLeader].map(async ([leader, group]) => this.#produce(leader, group)),
    );
    for (const { one, outcome } of settled.flat()) {
      outcomes[one.index] = outcome;
      if (outcome !== undefined && isRepeatable(outcome.failure)) again.push(one);
    }
    return again;
  }

  async #produce(
    leader: number,
    group: readonly Unsent[],
  ): Promise<{ readonly one: Unsent; readonly outcome: SendOutcome }[]> {
    const byTopic = Map.groupBy(group, ({ records }) => records.topic);
    const bytes = group.reduce(
      (sum, { records, compressed }) => sum + (compressed?.records.length ?? records.bytes) + 128,
      0,
    );
    let results: readonly ProduceResult[];
    try {
      const connection = await this.#options.cluster.node(leader);
      results = await connection.request(
        PRODUCE,
        {
          transactionalId: this.#options.transaction?.id ?? null,
          timeoutMs: this.#options.requestTimeoutMs,
          topics: [...byTopic].map(([topic, ones]) => ({
            topic,
            partitions: ones.map((one) => ({
              partition: one.records.partition,
              write: (out: WireWriter) =>
                writeBatch(out, one.records, this.#batchIdentity(one.records), one.compressed),
            })),
          })),
        },
        // The broker itself waits that long for the other replicas.
        { sizeHintBytes: bytes, timeoutMs: this.#options.requestTimeoutMs + 1000 },
      );
    } catch (thrown) {
      if (!isFailure(thrown)) throw thrown;
      const outcome: SendFailure = { failure: thrown, badRecords: [] };
      for (const { records } of group) this.#inDoubt.set(nameOf(records), records);
      return group.map((one) => ({ one, outcome }));
    }
    const answers = new Map(results.map((result) => [nameOf(result), result]));
    return group.map((one) => ({
      one,
      outcome: this.#settle(one.records, answers.get(nameOf(one.records))),
    }));
  }

  #settle(records: PartitionRecords, result: ProduceResult | undefined): SendOutcome {
    const name = nameOf(records);
    // Silence about a partition is no acknowledgement.
    const failure =
      result === undefined
        ? new KafkaFailure({ kind: 'unavailable', reason: 'no answer' })
        : failureOf(result.errorCode, result.topic);
    if (failure !== undefined && failure.reason !== 'DUPLICATE_SEQUENCE_NUMBER') {
      // "Timed out" and "not enough replicas after append" leave it open whether they are stored.
      if (isRepeatable(failure)) this.#inDoubt.set(name, records);
      return { failure, badRecords: result?.badRecords ?? [] };
    }
    this.#inDoubt.delete(name);
    this.#sequences.set(name, addToSequence(this.#sequences.get(name) ?? 0, records.count));
    return undefined;
  }

  #refuseOthers(records: PartitionRecords): void {
    const doubted = this.#inDoubt.get(nameOf(records));
    if (doubted === undefined || doubted === records) return;
    throw new KafkaFailure({ kind: 'session', reason: 'records in doubt were not sent again' });
  }

  #batchIdentity(records: PartitionRecords): BatchIdentity {
    return {
      ...this.#known,
      baseSequence: this.#sequences.get(nameOf(records)) ?? 0,
      transactional: this.#options.transaction !== undefined,
    };
  }

  async #leaderOf({ topic, partition }: PartitionRecords): Promise<number> {
    const leader = (await this.#options.cluster.leaders(topic))[partition];
    if (leader !== undefined && leader >= 0) return leader;
    throw new KafkaFailure(
      leader === undefined
        ? { kind: 'missing', reason: 'UNKNOWN_TOPIC_OR_PARTITION' }
        : { kind: 'unavailable', reason: 'LEADER_NOT_AVAILABLE' },
    );
  }

  get #known(): ProducerIdentity {
    if (this.#identity === undefined)
      throw new KafkaFailure({ kind: 'defect', reason: 'The session is not open' });
    return this.#identity;
  }

  get #transactionalId(): string {
    return this.#options.transaction?.id ?? '';
  }

  /** The coordinator may have moved whenever it did not answer as expected. */
  async #coordinated<T>(
    ask: (coordinator: Awaited<ReturnType<Cluster['coordinator']>>) => Promise<T>,
  ): Promise<T> {
    try {
      return await ask(await this.#options.cluster.coordinator(this.#transactionalId));
    } catch (thrown) {
      this.#options.cluster.forgetCoordinator(this.#transactionalId);
      throw thrown;
    }
  }

  #throwIfError(code: number): void {
    const failure = failureOf(code);
    if (failure !== undefined) throw this.#noted(failure);
  }

  #noted(failure: KafkaFailure): KafkaFailure {
    if (failure.kind === 'unavailable') this.#options.cluster.forgetCoordinator(this.#transactionalId);
    return failure;
  }

  async #patiently<T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    return patiently({ clock: this.#options.clock, patienceMs: this.#options.patienceMs, signal }, attempt);
  }
}

/** What may be different in a moment. */
function isRepeatable(failure: KafkaFailure): boolean {
  return failure.kind === 'unavailable' || failure.kind === 'missing' || failure.kind === 'busy';
}

/** After 2^31 - 1 comes 0. */
export function addToSequence(sequence: number, count: number): number {
  return sequence > MAX_SEQUENCE - count ? count - (MAX_SEQUENCE - sequence) - 1 : sequence + count;
}

function nameOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}/${partition}`;
}
