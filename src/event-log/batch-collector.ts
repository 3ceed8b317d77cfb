import type { Lsn } from '../events/lsn.ts';
import type { Position } from '../events/position.ts';
import type { ReadLimit } from './contract.ts';
import { EventStore, type StoredTransaction } from './event-store.ts';
import {
  beginCommitLsn,
  beginCommitTimeUs,
  beginOrigin,
  beginSeqBefore,
  beginXid,
  commitEventCount,
  eventWalLsn,
  FRAME,
  frameEndLsn,
  RELATION_HEADER_BYTES,
} from './frame-format.ts';
import type { FrameRange } from './frame-source.ts';
import type { LargeTransaction } from './large-transactions.ts';
import { corrupt } from './log-errors.ts';
import type { RelationRegistry } from './relation-registry.ts';

/** `more`: the range is used up. `full`: the batch is complete. `large`: the open transaction has to be delivered in pieces. */
export type ScanOutcome = 'more' | 'full' | 'large';

export interface Place {
  /** Log offset of the next frame. */
  readonly offset: number;
  /** Log offset of the block frame at or before it. */
  readonly block: number;
}

/** The transaction whose frames are being gone through; one object, used for one after the other. */
class OpenTransaction {
  open = false;
  begin = 0;
  block = 0;
  commitLsn: Lsn = 0n;
  xid = 0;
  commitTimeUs = 0n;
  origin: StoredTransaction['origin'];
  /** Number of the last event gone by. */
  seq = 0;
  /** Events up to this number are behind the reader. */
  skipTo = 0;
  /** What the batch held before it. */
  eventsBefore = 0;
  runsBefore = 0;
  /** As the batch shows it; made with its first event in the batch. */
  stored: StoredTransaction | undefined;
  /** It is delivered in pieces. */
  large: LargeTransaction | undefined;
}

/**
 * Goes through frames and gathers the events of one batch after the other: whole transactions up to the limits, one alone when it is larger,
 * pieces of one that is too large. Synchronous and without I/O.
 */
export class BatchCollector {
  /** Log offset of the next frame, and of the block frame at or before it. */
  offset: number;
  block: number;
  /** End of the last commit or progress gone by. */
  endLsn: Lsn;
  /** The last event delivered, or where the reader began. */
  lastCommitLsn: Lsn;
  lastSeq: number;
  commitTimeUs = 0n;
  store = new EventStore();

  readonly #registry: RelationRegistry;
  readonly #after: Position | undefined;
  readonly #transaction = new OpenTransaction();
  /** Found to be too large before its begin is gone through again. */
  #expected: LargeTransaction | undefined;
  #progressed = false;
  /** Log offset where the batch begins; -1 while it is empty. */
  #start = -1;

  constructor(options: {
    readonly registry: RelationRegistry;
    readonly after: Position | undefined;
    readonly place: Place;
    readonly endLsn: Lsn;
    readonly last: Position;
  }) {
    this.#registry = options.registry;
    this.#after = options.after;
    this.offset = options.place.offset;
    this.block = options.place.block;
    this.endLsn = options.endLsn;
    this.lastCommitLsn = options.last.commitLsn;
    this.lastSeq = options.last.seq;
  }

  /** Something is there to be delivered. */
  get hasContent(): boolean {
    return this.store.count > 0 || this.#progressed;
  }

  /** The frames gone by end inside a transaction. */
  get inTransaction(): boolean {
    return this.#transaction.open;
  }

  /** Log offset of the open transaction's first frame. */
  get transactionBegin(): number {
    return this.#transaction.begin;
  }

  /** Log bytes from the first frame of the batch to the last. */
  get bytes(): number {
    return this.#start < 0 ? 0 : this.offset - this.#start;
  }

  /** Begins the next batch in `store`. Returns a function that forgets it. */
  startBatch(store: EventStore): () => void {
    this.store = store;
    this.#progressed = false;
    this.#start = -1;
    this.commitTimeUs = 0n;
    const transaction = this.#transaction;
    transaction.stored = undefined;
    transaction.eventsBefore = 0;
    transaction.runsBefore = 0;
    const { offset, block, endLsn, lastCommitLsn, lastSeq } = this;
    const { open, seq } = transaction;
    return () => {
      Object.assign(this, { offset, block, endLsn, lastCommitLsn, lastSeq });
      // A transaction that was open is one in pieces, and nothing else was gone through.
      transaction.open = open;
      transaction.seq = seq;
      this.#progressed = false;
      store.clear();
    };
  }

  scan(range: FrameRange, limit: ReadLimit): ScanOutcome {
    const { slab, end } = range;
    const { view, buffer, base } = slab;
    const { store } = this;
    const transaction = this.#transaction;
    const { maxEvents, maxBytes, maxTransactionBytes } = limit;
    let inRun = false;
    let at = range.start;
    while (at < end) {
      const size = view.getUint32(at, true);
      const kind = view.getUint8(at + 4);
      switch (kind) {
        case FRAME.insert:
        case FRAME.update:
        case FRAME.delete:
        case FRAME.truncate:
        case FRAME.message:
          if (transaction.seq >= transaction.skipTo) {
            const next = base + at + size;
            const full = store.count >= maxEvents || next - this.#start > maxBytes;
            if (transaction.large === undefined) {
              if (next - transaction.begin > maxTransactionBytes) return this.#stopAt(base + at, 'large');
              if (full && (transaction.eventsBefore > 0 || this.#progressed)) {
                this.takeBack();
                return 'full';
              }
              if (this.#start < 0) this.#start = transaction.begin;
            } else {
              if (full && store.count > 0) {
                this.#delivered(transaction.commitLsn, transaction.seq, transaction.commitTimeUs);
                return this.#stopAt(base + at, 'full');
              }
              if (this.#start < 0) this.#start = base + at;
            }
            if (!inRun) {
              transaction.stored ??= this.#store(transaction);
              store.startRun(slab, transaction.stored, transaction.seq + 1);
              inRun = true;
            }
            store.push(at);
          }
          transaction.seq += 1;
          break;
        case FRAME.block:
          this.block = base + at;
          break;
        case FRAME.relation:
          this.#registry.learn(view.getUint32(at + 5, true), () =>
            buffer.utf8Slice(at + RELATION_HEADER_BYTES, at + size),
          );
          break;
        case FRAME.begin:
          // Where the transaction goes on in a new segment its begin is repeated.
          if (!transaction.open) this.#begin(range, at);
          inRun = false;
          break;
        case FRAME.commit:
          transaction.open = false;
          inRun = false;
          this.#commit(frameEndLsn(view, at), commitEventCount(view, at), base + at);
          if (
            this.hasContent &&
            (transaction.large !== undefined ||
              store.count >= maxEvents ||
              base + at + size - this.#start >= maxBytes)
          ) {
            return this.#stopAt(base + at + size, 'full');
          }
          break;
        case FRAME.rollback:
          if (transaction.open) this.#forget();
          inRun = false;
          break;
        case FRAME.progress:
          this.#progress(frameEndLsn(view, at), base + at);
          break;
        case FRAME.looseMessage: {
          const lsn = eventWalLsn(view, at);
          if (this.#after !== undefined && lsn <= this.#after.commitLsn) break;
          if (this.hasContent && (store.count >= maxEvents || base + at + size - this.#start > maxBytes)) {
            return this.#stopAt(base + at, 'full');
          }
          this.#message(range, at, lsn);
          inRun = false;
          break;
        }
        default:
          throw corrupt('log offset', base + at, `a frame has unknown kind ${kind}`);
      }
      at += size;
    }
    return this.#stopAt(base + at, 'more');
  }

  /** Takes the open transaction out of the batch: the next scan begins with its first frame. */
  takeBack(): void {
    const { begin, block } = this.#transaction;
    this.#forget();
    this.moveTo({ offset: begin, block });
  }

  /** The transaction that begins at the next frame is to be delivered in pieces. */
  expect(large: LargeTransaction): void {
    this.#expected = large;
  }

  moveTo({ offset, block }: Place): void {
    this.offset = offset;
    this.block = block;
  }

  #stopAt(offset: number, outcome: ScanOutcome): ScanOutcome {
    this.offset = offset;
    return outcome;
  }

  #begin({ slab: { view, buffer, base } }: FrameRange, at: number): void {
    const transaction = this.#transaction;
    const commitLsn = beginCommitLsn(view, at);
    const offset = base + at;
    transaction.open = true;
    transaction.begin = offset;
    transaction.block = this.block;
    transaction.commitLsn = commitLsn;
    transaction.xid = beginXid(view, at);
    transaction.commitTimeUs = beginCommitTimeUs(view, at);
    transaction.origin = beginOrigin(view, buffer, at);
    transaction.seq = beginSeqBefore(view, at);
    transaction.skipTo = this.#skipTo(commitLsn);
    transaction.eventsBefore = this.store.count;
    transaction.runsBefore = this.store.runCount;
    transaction.stored = undefined;
    const expected = this.#expected;
    transaction.large =
      expected !== undefined && expected.begin <= offset && offset < expected.end ? expected : undefined;
    this.#expected = undefined;
  }

  #skipTo(commitLsn: Lsn): number {
    const after = this.#after;
    if (after === undefined || commitLsn > after.commitLsn) return 0;
    return commitLsn === after.commitLsn ? after.seq : Number.POSITIVE_INFINITY;
  }

  #store(transaction: OpenTransaction): StoredTransaction {
    const stored = this.store.transaction();
    stored.xid = transaction.xid;
    stored.commitTimeUs = transaction.commitTimeUs;
    stored.commitLsn = transaction.commitLsn;
    stored.origin = transaction.origin;
    // Known later, at the commit, unless it is delivered in pieces.
    stored.endLsn = transaction.large?.endLsn ?? 0n;
    stored.eventCount = transaction.large?.eventCount ?? 0;
    return stored;
  }

  #commit(endLsn: Lsn, eventCount: number, offset: number): void {
    const { stored, seq, commitLsn, commitTimeUs } = this.#transaction;
    if (stored !== undefined) {
      stored.endLsn = endLsn;
      stored.eventCount = eventCount;
      this.#delivered(commitLsn, seq, commitTimeUs);
      this.endLsn = endLsn;
    } else if (seq === 0) {
      this.#progress(endLsn, offset);
    } else {
      this.endLsn = endLsn;
    }
  }

  #progress(endLsn: Lsn, offset: number): void {
    this.endLsn = endLsn;
    if (this.#after !== undefined && endLsn <= this.#after.commitLsn) return;
    this.#progressed = true;
    if (this.#start < 0) this.#start = offset;
  }

  #message({ slab }: FrameRange, at: number, lsn: Lsn): void {
    const stored = this.store.transaction();
    stored.xid = 0;
    stored.commitTimeUs = 0n;
    stored.commitLsn = lsn;
    stored.endLsn = lsn;
    stored.eventCount = 0;
    stored.origin = undefined;
    if (this.#start < 0) this.#start = slab.base + at;
    this.store.startRun(slab, stored, 0);
    this.store.push(at);
    this.#delivered(lsn, 0, this.commitTimeUs);
  }

  #delivered(commitLsn: Lsn, seq: number, commitTimeUs: bigint): void {
    this.lastCommitLsn = commitLsn;
    this.lastSeq = seq;
    this.commitTimeUs = commitTimeUs;
  }

  #forget(): void {
    const transaction = this.#transaction;
    transaction.open = false;
    this.store.truncate(transaction.eventsBefore, transaction.runsBefore);
    if (!this.hasContent) this.#start = -1;
  }
}
