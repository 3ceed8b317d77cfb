import type { Checkpoint } from '../events/position.ts';
import type { SinkBatch } from './sink.ts';

/** How far a lane has read. */
export interface Progress {
  readonly to: Checkpoint;
  /** False in the middle of a transaction that is delivered in pieces. */
  readonly wholeTransactions: boolean;
}

/** Moves a checkpoint over events that were not for the sink. */
export class ProgressBatch implements SinkBatch {
  readonly to: Checkpoint;
  readonly wholeTransactions: boolean;
  readonly count = 0;
  readonly commitTimeUs = 0n;

  constructor({ to, wholeTransactions }: Progress) {
    this.to = to;
    this.wholeTransactions = wholeTransactions;
  }

  item(i: number): never {
    throw new RangeError(`Item ${i} of a batch without items`);
  }
}
