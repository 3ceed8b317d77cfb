import type { Clock } from '../../../src/clock.ts';
import { backoffMs } from '../../../src/delivery/retry.ts';
import { isFailure } from './failure.ts';

/** A coordinator completes a transaction within milliseconds; leaders move within a second or so. */
const PACE = { initialMs: 2, maxMs: 500 };
/** Between a commit and the next transaction the coordinator says "busy" until its markers are written: look again at once, not later and later. */
const BUSY_PACE = { initialMs: 1, maxMs: 20 };
/** A new topic is known to every broker within this; one that has been deleted never is. */
const MISSING_PATIENCE_MS = 1500;

export interface Patience {
  readonly clock: Clock;
  readonly patienceMs: number;
  readonly signal: AbortSignal;
}

/**
 * Tries again while what is asked is unavailable, missing or busy, until the patience has run out; then rejects with the last failure.
 * Meant for what mends itself: longer absence is the lane's to wait for.
 */
export async function patiently<T>(
  { clock, patienceMs, signal }: Patience,
  attempt: () => Promise<T>,
): Promise<T> {
  const startMs = clock.monotonicMs();
  for (let tries = 0; ; tries++) {
    signal.throwIfAborted();
    try {
      return await abortable(attempt(), signal);
    } catch (thrown) {
      if (!isFailure(thrown, 'unavailable', 'missing', 'busy')) throw thrown;
      const limitMs = thrown.kind === 'missing' ? Math.min(patienceMs, MISSING_PATIENCE_MS) : patienceMs;
      if (clock.monotonicMs() - startMs >= limitMs) throw thrown;
      await clock.sleep(backoffMs(tries, thrown.kind === 'busy' ? BUSY_PACE : PACE), signal);
    }
  }
}

/** Rejects with the signal's reason as soon as it aborts; what becomes of the promise after that interests nobody. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  promise.catch(() => {});
  if (signal.aborted) throw signal.reason;
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}
