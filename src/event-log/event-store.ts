import type { TransactionInfo } from '../events/change-event.ts';
import { FrameEventView } from '../events/tuple/frame-event-view.ts';
import type { Slab } from './slab.ts';

/** A transaction as readers see it; filled when its frames are met and used again in the store's next batch. */
export class StoredTransaction implements TransactionInfo {
  xid = 0;
  commitTimeUs = 0n;
  commitLsn = 0n;
  endLsn = 0n;
  eventCount = 0;
  origin: TransactionInfo['origin'];
}

/** Neighbouring events of one transaction in one slab. */
export interface Run {
  /** Index of the run's first event. */
  first: number;
  firstSeq: number;
  slab: Slab;
  transaction: StoredTransaction;
}

const INITIAL_EVENTS = 1024;

/**
 * Where the events of a batch lie: one number per event, one object per run of them, all used again for later batches. Slabs are
 * pinned as long as an event of them is in here.
 */
export class EventStore {
  count = 0;
  runCount = 0;
  /** The batch's one cursor. */
  readonly view = new FrameEventView();
  /** Offset of each event's frame in its slab. */
  starts = new Uint32Array(INITIAL_EVENTS);
  readonly #runs: Run[] = [];
  readonly #transactions: StoredTransaction[] = [];
  #transactionCount = 0;
  readonly #pinned: Slab[] = [];

  run(i: number): Run {
    return this.#runs[i] as Run;
  }

  /** Index behind the last event of run `i`. */
  runEnd(i: number): number {
    return i + 1 < this.runCount ? this.run(i + 1).first : this.count;
  }

  transaction(): StoredTransaction {
    const transaction = (this.#transactions[this.#transactionCount] ??= new StoredTransaction());
    this.#transactionCount += 1;
    return transaction;
  }

  startRun(slab: Slab, transaction: StoredTransaction, firstSeq: number): void {
    if (this.#pinned.at(-1) !== slab) {
      slab.pin();
      this.#pinned.push(slab);
    }
    const run = this.#runs[this.runCount];
    if (run === undefined) {
      this.#runs.push({ first: this.count, firstSeq, slab, transaction });
    } else {
      run.first = this.count;
      run.firstSeq = firstSeq;
      run.slab = slab;
      run.transaction = transaction;
    }
    this.runCount += 1;
  }

  push(start: number): void {
    if (this.count === this.starts.length) {
      const grown = new Uint32Array(this.starts.length * 2);
      grown.set(this.starts);
      this.starts = grown;
    }
    this.starts[this.count++] = start;
  }

  /** Forgets all events from `count` on. */
  truncate(count: number, runCount: number): void {
    this.count = count;
    this.runCount = runCount;
  }

  clear(): void {
    this.count = 0;
    this.runCount = 0;
    this.#transactionCount = 0;
    for (const slab of this.#pinned) slab.unpin();
    this.#pinned.length = 0;
  }
}
