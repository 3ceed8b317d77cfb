import type { Lsn } from '../events/lsn.ts';
import { maxLsn, minLsn } from '../events/lsn.ts';

/**
 * What the server may be told to forget.
 *
 * While every sink is healthy the server stays the safety net: it keeps what any sink has not got. A sink that falls
 * further behind than the budget no longer holds the server's disk: from then on the log is the only copy for it.
 */

export type ConfirmMode =
  /** Sinks hold the slot until one of them is more than the budget behind. */
  | 'auto'
  /** The slowest sink always holds the slot. */
  | 'sinks'
  /** What the log has on disk is confirmed, whatever the sinks have. */
  | 'log';

export interface WalBudget {
  readonly mode: ConfirmMode;
  /** WAL a slow sink may make the server keep, bytes. */
  readonly bytes: bigint;
}

/** End LSNs, see `Checkpoint.endLsn`. */
export interface HolderState {
  /** Last position told to the server, or the slot's own at connect. */
  readonly confirmed: Lsn;
  /** What the log has on disk. */
  readonly synced: Lsn;
  /** What each positioned sink has durably. A sink that has not told yet stands where the slot stood. */
  readonly delivered: readonly Lsn[];
  /** End of the server's WAL as last heard. */
  readonly walEnd: Lsn;
}

/**
 * `min(synced, max(min(delivered), exceeded ? synced : 0))`, never lower than `confirmed`. Without positioned sinks the log alone holds.
 */
export function confirmable(state: HolderState, budget: WalBudget): Lsn {
  const slowest = state.delivered.reduce(minLsn, state.synced);
  return maxLsn(state.confirmed, holdsSlot(state, budget) ? slowest : state.synced);
}

/** True while the slowest sink keeps the server from forgetting WAL; false when the budget is spent or the log alone decides. */
export function holdsSlot(state: HolderState, budget: WalBudget): boolean {
  if (budget.mode === 'log') return false;
  if (budget.mode === 'sinks') return true;
  const slowest = state.delivered.reduce(minLsn, state.synced);
  return state.walEnd - slowest <= budget.bytes;
}

/** Half of `max_slot_wal_keep_size` is the most a budget may be: beyond it the server would invalidate the slot first. */
export function effectiveBudgetBytes(configured: bigint, maxSlotWalKeepBytes: number | undefined): bigint {
  if (maxSlotWalKeepBytes === undefined) return configured;
  return minLsn(configured, BigInt(maxSlotWalKeepBytes) / 2n);
}
