import type { Clock } from '../clock.ts';
import type { Position } from '../events/position.ts';
import { BatchCollector } from './batch-collector.ts';
import type { LogBatch, LogReader, ReadLimit } from './contract.ts';
import { EventBatch } from './event-batch.ts';
import { EventStore } from './event-store.ts';
import { FrameSource, type FrameSourceOptions, gap } from './frame-source.ts';
import type { LargeTransactions } from './large-transactions.ts';
import { misuse } from './log-errors.ts';
import type { RelationRegistry } from './relation-registry.ts';
import { findEnd } from './scan-ahead.ts';
import { firstFrameOf } from './segment-index.ts';
import type { WakeUp } from './wake-up.ts';

/** Batches a reader has out at once, as a rule: their stores are kept to use again. */
const KEPT_STORES = 4;
/** Enough to learn where the log's first event stands. */
const PEEK: ReadLimit = { maxEvents: 1, maxBytes: 1, maxTransactionBytes: 16 * 1024 * 1024, lingerMs: 0 };

export interface ReaderOptions extends FrameSourceOptions {
  readonly after: Position | undefined;
  readonly registry: RelationRegistry;
  readonly large: LargeTransactions;
  readonly clock: Clock;
  /** `source` of the checkpoints. */
  readonly checkpointSource: () => string;
  /** Woken when more is visible, and when the log is closed. */
  readonly moved: WakeUp;
  readonly logClosed: () => boolean;
  readonly onClose: () => void;
}

/** One consumer's way through the log. */
export class SegmentReader implements LogReader {
  readonly #options: ReaderOptions;
  readonly #source: FrameSource;
  readonly #stores: EventStore[] = [];
  readonly #takeBackStore = (store: EventStore): void => {
    store.clear();
    if (this.#stores.length < KEPT_STORES) this.#stores.push(store);
  };
  #collector: BatchCollector | undefined;
  #reading: Promise<LogBatch> | undefined;
  #closed = false;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#source = new FrameSource(options);
  }

  async next(limit: ReadLimit, signal: AbortSignal): Promise<LogBatch> {
    if (this.#reading !== undefined)
      throw misuse(`${this.#options.name} asks for a batch before it has the last one`);
    try {
      this.#reading = this.#next(limit, signal);
      return await this.#reading;
    } finally {
      this.#reading = undefined;
    }
  }

  /** Position of the first event after where it stands; undefined when there is none. */
  async peek(): Promise<Position | undefined> {
    const { signal } = new AbortController();
    for (;;) {
      const collector = this.#position();
      if (collector === undefined) return undefined;
      collector.startBatch(new EventStore());
      await this.#fill(collector, PEEK, signal);
      if (collector.store.count > 0) {
        const { transaction, firstSeq } = collector.store.run(0);
        collector.store.clear();
        return { commitLsn: transaction.commitLsn, seq: firstSeq };
      }
      if (collector.offset >= this.#options.visible()) return undefined;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.onClose();
    // Whoever waits in `next` is told; a file that is being read is not closed under it.
    this.#options.moved.wake();
    await this.#reading?.catch(() => {});
    await this.#source.close();
  }

  async #next(limit: ReadLimit, signal: AbortSignal): Promise<LogBatch> {
    const { clock, moved } = this.#options;
    let collector = this.#position();
    for (; collector === undefined; collector = this.#position()) await moved.wait(signal);
    const forget = collector.startBatch(this.#stores.pop() ?? new EventStore());
    let lingerUntilMs: number | undefined;
    try {
      for (;;) {
        this.#assertOpen();
        signal.throwIfAborted();
        if (await this.#fill(collector, limit, signal)) break;
        // It may have moved while that was awaited, and nobody would wake us for it again.
        if (this.#closed || collector.offset < this.#options.visible()) continue;
        if (!collector.hasContent) {
          await moved.wait(signal);
          continue;
        }
        lingerUntilMs ??= clock.monotonicMs() + limit.lingerMs;
        const remainingMs = lingerUntilMs - clock.monotonicMs();
        if (limit.lingerMs === 0 || remainingMs <= 0) break;
        await this.#linger(remainingMs, signal);
      }
      return this.#batch(collector);
    } catch (error) {
      forget();
      throw error;
    }
  }

  #batch(collector: BatchCollector): LogBatch {
    return new EventBatch({
      to: {
        position: { commitLsn: collector.lastCommitLsn, seq: collector.lastSeq },
        endLsn: collector.endLsn,
        source: this.#options.checkpointSource(),
      },
      wholeTransactions: !collector.inTransaction,
      bytes: collector.bytes,
      commitTimeUs: collector.commitTimeUs,
      store: collector.store,
      registry: this.#options.registry,
      onRelease: this.#takeBackStore,
    });
  }

  /** Gathers what can be seen; true when the batch is full. */
  async #fill(collector: BatchCollector, limit: ReadLimit, signal: AbortSignal): Promise<boolean> {
    const { visible } = this.#options;
    while (collector.offset < visible()) {
      const loading = this.#source.load(collector.offset, collector.block);
      const range = loading instanceof Promise ? await loading : loading;
      this.#assertOpen();
      signal.throwIfAborted();
      const outcome = collector.scan(range, limit);
      if (outcome === 'full') return true;
      if (outcome === 'large' && (await this.#enterLarge(collector, signal))) return true;
    }
    return false;
  }

  /** A transaction too large for one batch begins. True when what was gathered before it has to be delivered first. */
  async #enterLarge(collector: BatchCollector, signal: AbortSignal): Promise<boolean> {
    const { large, registry } = this.#options;
    const begin = collector.transactionBegin;
    const known = large.find(begin);
    const from = { offset: collector.offset, block: collector.block };
    collector.takeBack();
    if (known !== undefined) {
      collector.expect(known);
      return collector.hasContent;
    }
    const source = new FrameSource(this.#options);
    try {
      const check = (): void => {
        this.#assertOpen();
        signal.throwIfAborted();
      };
      const end = await findEnd({ source, registry, begin, from, check });
      if (end.kind === 'rolled-back') {
        collector.moveTo(end.behind);
        return false;
      }
      large.add(end);
      collector.expect(end);
      return collector.hasContent;
    } finally {
      await source.close();
    }
  }

  /** Where to begin is only looked up when it is needed: the log may still be empty. */
  #position(): BatchCollector | undefined {
    this.#assertOpen();
    if (this.#collector !== undefined) return this.#collector;
    const { after, index, registry, name } = this.#options;
    if (index.first === undefined) return undefined;
    const segment = after === undefined ? index.first : index.seek(after);
    if (segment === undefined) throw gap(name);
    const offset = firstFrameOf(segment);
    this.#collector = new BatchCollector({
      registry,
      after,
      place: { offset, block: offset },
      endLsn: segment.endLsn,
      last: after ?? segment.previous,
    });
    return this.#collector;
  }

  /** Waits for more, but not for long: something is there already. */
  async #linger(ms: number, signal: AbortSignal): Promise<void> {
    const timer = new AbortController();
    try {
      await Promise.race([this.#options.moved.wait(signal), this.#options.clock.sleep(ms, timer.signal)]);
    } finally {
      timer.abort();
    }
  }

  #assertOpen(): void {
    if (this.#closed || this.#options.logClosed()) {
      throw misuse(
        `${this.#options.name} was reading when ${this.#closed ? 'its reader' : 'the log'} was closed`,
      );
    }
  }
}
