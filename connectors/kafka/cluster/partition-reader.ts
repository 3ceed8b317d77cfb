import type { Clock } from '../../../src/clock.ts';
import { decompress } from '../produce/compression.ts';
import { type Api, FETCH, type FetchResult, LIST_OFFSETS } from '../wire/apis.ts';
import { type FetchedBatch, type FetchedRecord, readBatches } from '../wire/record-batch-reader.ts';
import { type Cluster, throwIfError } from './cluster.ts';
import { KafkaFailure } from './failure.ts';
import { patiently } from './patience.ts';

const EARLIEST = -2n;
const LATEST = -1n;
const MAX_WAIT_MS = 250;
const MAX_BYTES = 1024 * 1024;

export interface ScanOptions {
  readonly topic: string;
  readonly partition: number;
  readonly from: bigint;
  /** Exclusive. Absent: only `visit` ends the scan. */
  readonly until?: bigint | undefined;
  /** Called for each committed record in order; true ends the scan. */
  readonly visit: (record: FetchedRecord) => boolean;
  /** Called while an open transaction holds back what is already written. */
  readonly onHeldBack?: (() => void) | undefined;
  readonly signal: AbortSignal;
}

/**
 * Reads single partitions with isolation read_committed: without a consumer group, which would need privileges of its own, a rebalance at every start and
 * offsets that nobody wants. Rejects with a KafkaFailure.
 */
export class PartitionReader {
  readonly #cluster: Cluster;
  readonly #clock: Clock;
  readonly #patienceMs: number;

  constructor(options: { readonly cluster: Cluster; readonly clock: Clock; readonly patienceMs: number }) {
    this.#cluster = options.cluster;
    this.#clock = options.clock;
    this.#patienceMs = options.patienceMs;
  }

  /** The first offset still held, and the one after the last that is written, committed or not. */
  async bounds(
    topic: string,
    partition: number,
    signal: AbortSignal,
  ): Promise<{ readonly first: bigint; readonly end: bigint }> {
    const [first, end] = [
      await this.#ask(LIST_OFFSETS, { topic, partition, timestamp: EARLIEST }, signal),
      await this.#ask(LIST_OFFSETS, { topic, partition, timestamp: LATEST }, signal),
    ];
    return { first: first.offset, end: end.offset };
  }

  async scan({ topic, partition, from, until, visit, onHeldBack, signal }: ScanOptions): Promise<void> {
    let offset = from;
    while (until === undefined || offset < until) {
      const fetched = await this.#ask(
        FETCH,
        { topic, partition, offset, maxWaitMs: MAX_WAIT_MS, maxBytes: MAX_BYTES },
        signal,
      );
      const batches = await readBatches(fetched.records, decompress).catch((cause: unknown) => {
        if (cause instanceof KafkaFailure) throw cause;
        throw new KafkaFailure({ kind: 'refused', reason: 'unreadable record batch', cause });
      });
      for (const record of committedRecords(batches, fetched)) {
        if (record.offset < offset) continue;
        if (until !== undefined && record.offset >= until) return;
        if (visit(record)) return;
      }
      const last = batches.at(-1);
      if (last !== undefined) offset = last.lastOffset + 1n;
      else if (fetched.lastStableOffset < fetched.highWatermark) onHeldBack?.();
    }
  }

  async #ask<Request extends { topic: string; partition: number }, Response extends { errorCode: number }>(
    api: Api<Request, Response>,
    request: Request,
    signal: AbortSignal,
  ): Promise<Response> {
    const { topic, partition } = request;
    const ask = async (): Promise<Response> => {
      const leader = (await this.#cluster.leaders(topic))[partition];
      if (leader === undefined)
        throw new KafkaFailure({ kind: 'missing', reason: 'UNKNOWN_TOPIC_OR_PARTITION' });
      if (leader < 0) throw new KafkaFailure({ kind: 'unavailable', reason: 'LEADER_NOT_AVAILABLE' });
      const answer = await (await this.#cluster.node(leader)).request(api, request);
      throwIfError(answer.errorCode, topic);
      return answer;
    };
    return patiently({ clock: this.#clock, patienceMs: this.#patienceMs, signal }, async () => {
      try {
        return await ask();
      } catch (thrown) {
        this.#cluster.forgetTopics([topic]);
        throw thrown;
      }
    });
  }
}

/** As the Java consumer's: an aborted transaction lasts from its first offset to its marker. */
export function* committedRecords(
  batches: readonly FetchedBatch[],
  { abortedTransactions }: Pick<FetchResult, 'abortedTransactions'>,
): Generator<FetchedRecord> {
  // The brokers do not promise an order.
  const starts = [...abortedTransactions].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1));
  const aborted = new Set<bigint>();
  let next = 0;
  for (const batch of batches) {
    for (; next < starts.length; next++) {
      const start = starts[next] as (typeof starts)[number];
      if (start.firstOffset > batch.lastOffset) break;
      aborted.add(start.producerId);
    }
    if (batch.control !== undefined) {
      if (batch.control === 'abort') aborted.delete(batch.producerId);
    } else if (!batch.transactional || !aborted.has(batch.producerId)) {
      yield* batch.records;
    }
  }
}
