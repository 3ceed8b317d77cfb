import type { Clock } from '../clock.ts';
import { asTailraceError, type TailraceError } from '../errors/tailrace-error.ts';

export interface Backoff {
  readonly initialMs: number;
  readonly maxMs: number;
}

/** Tries for ever: a sink or server that is down for an hour is waited for, not given up. */
export const PATIENT: Backoff = { initialMs: 100, maxMs: 30_000 };

/**
 * Between half of the exponential bound and all of it, at random, so that many clients of one broken server do not return in step.
 * https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
 */
export function backoffMs(attempt: number, backoff: Backoff, random: () => number = Math.random): number {
  const bound = Math.min(backoff.maxMs, backoff.initialMs * 2 ** Math.min(attempt, 30));
  return Math.round(bound / 2 + (random() * bound) / 2);
}

export interface RetryOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly backoff: Backoff;
  /** Called before each wait. */
  readonly onRetry?: ((error: TailraceError, attempt: number, delayMs: number) => void) | undefined;
  readonly random?: (() => number) | undefined;
}

/** Runs `operation` until it succeeds, fails for good (`retriable: false`), or the signal aborts. */
export async function retry<T>(operation: () => Promise<T>, options: RetryOptions): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    options.signal.throwIfAborted();
    try {
      return await operation();
    } catch (thrown) {
      options.signal.throwIfAborted();
      const error = asTailraceError(thrown);
      if (!error.retriable) throw error;
      const delayMs = backoffMs(attempt, options.backoff, options.random);
      options.onRetry?.(error, attempt + 1, delayMs);
      await options.clock.sleep(delayMs, options.signal);
    }
  }
}
