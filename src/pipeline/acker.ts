import type { Lsn } from '../events/lsn.ts';
import { maxLsn } from '../events/lsn.ts';
import {
  confirmable,
  effectiveBudgetBytes,
  type HolderState,
  holdsSlot,
  type WalBudget,
} from './confirmable.ts';

/** The sides the acker watches; everything it needs is read when something has moved. */
export interface Holders {
  readonly synced: () => Lsn;
  /** Durable end LSN of each positioned sink; undefined: it has not told yet. */
  readonly delivered: () => readonly (Lsn | undefined)[];
  readonly walEnd: () => Lsn;
  /** Tells the server; only ever with a higher LSN than before. */
  readonly confirm: (endLsn: Lsn) => void;
}

/**
 * Applies `confirmable()` whenever a holder moves. Confirms nothing before `connected()` has said where the slot stands.
 */
export class Acker {
  readonly #holders: Holders;
  readonly #mode: WalBudget['mode'];
  readonly #configuredBytes: bigint;
  #budget: WalBudget;
  #slot: Lsn | undefined;
  /** Where the slot stood first: a sink that has not told yet has at least that. */
  #origin: Lsn = 0n;
  #confirmed: Lsn = 0n;

  constructor(holders: Holders, budget: WalBudget) {
    this.#holders = holders;
    this.#mode = budget.mode;
    this.#configuredBytes = budget.bytes;
    this.#budget = budget;
  }

  /** The last position told to the server in this process; 0n = none. */
  get confirmed(): Lsn {
    return this.#confirmed;
  }

  /** False while a sink is so far behind that only the log keeps its events. */
  get serverKeepsAll(): boolean {
    return this.#slot === undefined || holdsSlot(this.#state(this.#slot), this.#budget);
  }

  /** After each connect: the slot's own position and the server's limit. */
  connected(slotLsn: Lsn, maxSlotWalKeepBytes: number | undefined): void {
    if (this.#slot === undefined) this.#origin = slotLsn;
    this.#slot = maxLsn(slotLsn, this.#confirmed);
    this.#budget = {
      mode: this.#mode,
      bytes: effectiveBudgetBytes(this.#configuredBytes, maxSlotWalKeepBytes),
    };
    this.moved();
  }

  moved(): void {
    if (this.#slot === undefined) return;
    const next = confirmable(this.#state(this.#slot), this.#budget);
    if (next <= this.#slot) return;
    this.#slot = next;
    this.#confirmed = next;
    this.#holders.confirm(next);
  }

  #state(slot: Lsn): HolderState {
    return {
      confirmed: slot,
      synced: this.#holders.synced(),
      delivered: this.#holders.delivered().map((lsn) => lsn ?? this.#origin),
      walEnd: this.#holders.walEnd(),
    };
  }
}
