import type { EventView, Op } from '../events/change-event.ts';
import type { Checkpoint } from '../events/position.ts';
import type { Relation } from '../events/relation.ts';
import type { FrameEvent } from '../events/tuple/frame-event-view.ts';
import type { LogBatch } from './contract.ts';
import type { EventStore, Run } from './event-store.ts';
import { EVENT_HEADER_BYTES, OP_OF } from './frame-format.ts';
import type { RelationRegistry } from './relation-registry.ts';

export interface EventBatchOptions {
  readonly to: Checkpoint;
  readonly wholeTransactions: boolean;
  readonly bytes: number;
  readonly commitTimeUs: bigint;
  readonly store: EventStore;
  readonly registry: RelationRegistry;
  /** Takes the store back. */
  readonly onRelease: (store: EventStore) => void;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class EventBatch implements LogBatch {
  readonly to: Checkpoint;
  readonly wholeTransactions: boolean;
  readonly count: number;
  readonly bytes: number;
  readonly commitTimeUs: bigint;
  readonly #registry: RelationRegistry;
  readonly #onRelease: (store: EventStore) => void;
  #store: EventStore | undefined;

  #frame: Mutable<FrameEvent> | undefined;
  #relationVersion = -1;
  // The run of the last event: they are mostly asked for in order.
  #runIndex = -1;
  #runFirst = 0;
  #runEnd = 0;
  #run: Run | undefined;

  constructor(options: EventBatchOptions) {
    this.to = options.to;
    this.wholeTransactions = options.wholeTransactions;
    this.bytes = options.bytes;
    this.commitTimeUs = options.commitTimeUs;
    this.count = options.store.count;
    this.#store = options.store;
    this.#registry = options.registry;
    this.#onRelease = options.onRelease;
  }

  event(i: number): EventView {
    const store = this.#store;
    if (store === undefined) throw new RangeError('This batch has been released');
    if (i < this.#runFirst || i >= this.#runEnd) this.#moveTo(store, i);
    const run = this.#run as Run;
    const { buffer, view } = run.slab;
    const at = store.starts[i] as number;
    const version = view.getUint32(at + 5, true);
    const op = OP_OF[view.getUint8(at + 4)] as Op;
    const relation = version === this.#relationVersion ? undefined : this.#registry.get(version);
    const frame = (this.#frame ??= this.#newFrame(run, relation as Relation));
    if (relation !== undefined) {
      frame.relation = relation;
      this.#relationVersion = version;
    }
    frame.op = op;
    frame.transaction = run.transaction;
    frame.seq = run.firstSeq + i - this.#runFirst;
    frame.walLsnLow = view.getUint32(at + 9, true);
    frame.walLsnHigh = view.getUint32(at + 13, true);
    frame.buffer = buffer;
    frame.start = at + EVENT_HEADER_BYTES;
    frame.end = at + view.getUint32(at, true);
    store.view.point(frame);
    return store.view;
  }

  release(): void {
    const store = this.#store;
    this.#store = undefined;
    if (store !== undefined) this.#onRelease(store);
  }

  #newFrame(run: Run, relation: Relation): Mutable<FrameEvent> {
    return {
      op: 'insert',
      relation,
      transaction: run.transaction,
      seq: 0,
      walLsnHigh: 0,
      walLsnLow: 0,
      buffer: run.slab.buffer,
      start: 0,
      end: 0,
    };
  }

  #moveTo(store: EventStore, i: number): void {
    if (!(i >= 0 && i < this.count)) throw new RangeError(`Event ${i} of a batch of ${this.count}`);
    const r = i === this.#runEnd ? this.#runIndex + 1 : search(store, i);
    this.#runIndex = r;
    this.#run = store.run(r);
    this.#runFirst = this.#run.first;
    this.#runEnd = store.runEnd(r);
  }
}

/** The last run that begins at or before event `i`. */
function search(store: EventStore, i: number): number {
  let low = 0;
  let high = store.runCount;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (store.run(middle).first <= i) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
