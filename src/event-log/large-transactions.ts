import type { Lsn } from '../events/lsn.ts';

/** A transaction that a reader may have to deliver in pieces, before it has come to the commit that tells these. */
export interface LargeTransaction {
  /** Log offsets of its first frame and behind its last. */
  readonly begin: number;
  readonly end: number;
  readonly eventCount: number;
  readonly endLsn: Lsn;
}

const LARGE_BYTES = 1024 * 1024;
const REMEMBERED = 256;

/** The large transactions written or met lately, so that not every reader has to look for their commits on disk. */
export class LargeTransactions {
  readonly #known: LargeTransaction[] = [];

  add(transaction: LargeTransaction): void {
    if (transaction.end - transaction.begin < LARGE_BYTES) return;
    if (this.#known.length === REMEMBERED) this.#known.shift();
    this.#known.push(transaction);
  }

  /** The one that the frame at `offset` belongs to. */
  find(offset: number): LargeTransaction | undefined {
    return this.#known.findLast(({ begin, end }) => begin <= offset && offset < end);
  }
}
