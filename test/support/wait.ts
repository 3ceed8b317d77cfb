import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  /** Give up after this long; default 10 s. */
  readonly timeoutMs?: number | undefined;
  /** Pause between two looks; default 20 ms. */
  readonly intervalMs?: number | undefined;
  /** What is being waited for, in words; a function may tell the state last seen. */
  readonly describe?: string | (() => string) | undefined;
}

export class WaitTimeoutError extends Error {
  override readonly name = 'WaitTimeoutError';
}

type Falsy = false | null | undefined | 0 | '' | 0n;

/**
 * Looks at `condition` until it is truthy and returns what it returned. A throw counts as "not yet";
 * the last one becomes the cause of the timeout error.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 10_000, intervalMs = 20, describe }: WaitOptions = {},
): Promise<Exclude<T, Falsy>> {
  const startedMs = performance.now();
  let lastError: unknown;
  let lastValue: unknown;
  let looks = 0;
  for (;;) {
    looks += 1;
    try {
      const value = await withDeadline(condition, startedMs + timeoutMs - performance.now());
      if (value) return value as Exclude<T, Falsy>;
      lastError = undefined;
      lastValue = value;
    } catch (error) {
      // A misspelt name does not mend itself.
      if (error instanceof ReferenceError) throw error;
      lastError = error;
    }
    if (performance.now() - startedMs >= timeoutMs) break;
    await delay(intervalMs);
  }
  const what = typeof describe === 'function' ? describe() : (describe ?? 'the condition');
  const last =
    lastError === undefined ? `it was ${String(lastValue)}` : `it threw ${describeError(lastError)}`;
  throw new WaitTimeoutError(`Waited ${timeoutMs} ms for ${what}; after ${looks} looks ${last}.`, {
    cause: lastError,
  });
}

/** A condition that itself never answers must not outlive the wait. */
async function withDeadline<T>(condition: () => T | Promise<T>, remainingMs: number): Promise<T> {
  const abort = new AbortController();
  try {
    return await Promise.race([
      condition(),
      delay(Math.max(remainingMs, 1), undefined, { signal: abort.signal }).then(() => {
        throw new Error('the look itself did not answer');
      }),
    ]);
  } finally {
    abort.abort();
  }
}

function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
