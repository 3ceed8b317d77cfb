import type { SinkBatch } from '../../../src/delivery/sink.ts';
import { type Checkpoint, comparePositions } from '../../../src/events/position.ts';
import type { ElasticsearchRoute } from '../documents/route.ts';
import { WriteJob, type WriteTools } from './write-job.ts';

interface Slot {
  readonly batch: SinkBatch<ElasticsearchRoute>;
  readonly job: WriteJob;
  finished: boolean;
}

/**
 * Writes in the order of the log, as long as they or one before them are unfinished. What has been accepted is the end of the last
 * write that has none unfinished before it.
 */
export class WriteOrder {
  readonly #tools: WriteTools;
  #slots: Slot[] = [];
  /** The newest write, also when it has finished: the next one takes over what it carries on. */
  #last: WriteJob | undefined;
  #accepted: Checkpoint | undefined;
  #storable: Checkpoint | undefined;

  constructor(tools: WriteTools) {
    this.#tools = tools;
  }

  /** End of what is in the indices without a gap. */
  get accepted(): Checkpoint | undefined {
    return this.#accepted;
  }

  /** The last of them that is the end of a transaction: in the middle of one, operations may still be carried on here. */
  get storable(): Checkpoint | undefined {
    return this.#storable;
  }

  /** The write of a batch: the one begun when the same batch is given again, a new one in its place for a batch that ends there too. */
  enter(batch: SinkBatch<ElasticsearchRoute>): WriteJob {
    const at = this.#slots.findIndex(({ job }) => sameEnd(job.to, batch.to));
    const slot = this.#slots[at];
    if (slot?.batch === batch) return slot.job;
    if (slot !== undefined) {
      const job = new WriteJob(batch, slot.job.plan.carried, this.#tools);
      // What waits for the write before waits for this one.
      void job.finished.then(() => slot.job.finish());
      this.#slots[at] = { batch, job, finished: false };
      if (this.#last === slot.job) this.#last = job;
      return job;
    }
    if (this.#last !== undefined && comparePositions(batch.to.position, this.#last.to.position) < 0) {
      // Reading began anew before the end of what was written: everything comes again.
      this.#slots = [];
      this.#last = undefined;
    }
    const job = new WriteJob(batch, this.#last?.carriedOn ?? [], this.#tools);
    this.#last = job;
    this.#slots.push({ batch, job, finished: false });
    return job;
  }

  /** Unfinished writes before this one. */
  before(job: WriteJob): readonly WriteJob[] {
    const earlier: WriteJob[] = [];
    for (const slot of this.#slots) {
      if (slot.job === job) break;
      if (!slot.finished) earlier.push(slot.job);
    }
    return earlier;
  }

  finish(job: WriteJob): void {
    const slot = this.#slots.find((each) => each.job === job);
    if (slot === undefined) return;
    slot.finished = true;
    job.finish();
    for (let first = this.#slots[0]; first?.finished === true; first = this.#slots[0]) {
      this.#slots.shift();
      this.#accepted = first.job.to;
      if (isWhole(first.job.to)) this.#storable = first.job.to;
    }
  }
}

/** A checkpoint in the middle of a transaction still has the end of the one before. */
function isWhole({ position, endLsn }: Checkpoint): boolean {
  return endLsn > position.commitLsn;
}

function sameEnd(a: Checkpoint, b: Checkpoint): boolean {
  return a.endLsn === b.endLsn && comparePositions(a.position, b.position) === 0;
}
