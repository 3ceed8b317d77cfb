import type { Clock } from '../clock.ts';

/** Waits for a promise, but not through a wake-up or beyond a time; one wait at once. */
export class WakeableWait {
  readonly #clock: Clock;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends the wait that is going on, if there is one. */
  wake(): void {
    this.#wake?.();
  }

  /** What `value` resolves to; undefined when woken, or at `dueMs` of the clock. */
  async for<T>(value: Promise<T>, dueMs: number | undefined): Promise<T | undefined> {
    const over = new AbortController();
    const waits: Promise<T | undefined>[] = [
      value,
      new Promise<undefined>((resolve) => {
        this.#wake = () => resolve(undefined);
      }),
    ];
    if (dueMs !== undefined) {
      const remainingMs = Math.max(0, dueMs - this.#clock.monotonicMs());
      waits.push(
        this.#clock.sleep(remainingMs, over.signal).then(
          () => undefined,
          () => undefined,
        ),
      );
    }
    try {
      return await Promise.race(waits);
    } finally {
      this.#wake = undefined;
      over.abort();
    }
  }
}
