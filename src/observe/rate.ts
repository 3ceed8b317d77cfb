import type { Clock } from '../clock.ts';

const SECONDS = 10;

/** How many a second, over the last ten; one number per second is kept. */
export class Rate {
  readonly #clock: Clock;
  readonly #startedMs: number;
  readonly #counts = new Float64Array(SECONDS);
  /** The second that the newest count belongs to. */
  #second: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
    this.#second = Math.floor(this.#startedMs / 1000);
  }

  add(count: number): void {
    const at = this.#turn() % SECONDS;
    this.#counts[at] = (this.#counts[at] as number) + count;
  }

  get perSecond(): number {
    this.#turn();
    const sum = this.#counts.reduce((total, count) => total + count, 0);
    const nowMs = this.#clock.monotonicMs();
    // The current second is not over yet, and the first ones may not have been lived through.
    const sinceMs = Math.min(nowMs - this.#startedMs, (SECONDS - 1) * 1000 + (nowMs % 1000));
    return sum / Math.max(1, sinceMs / 1000);
  }

  /** Forgets the seconds that have gone by since; the present one. */
  #turn(): number {
    const second = Math.floor(this.#clock.monotonicMs() / 1000);
    for (let each = Math.max(this.#second + 1, second - SECONDS + 1); each <= second; each++) {
      this.#counts[each % SECONDS] = 0;
    }
    this.#second = second;
    return second;
  }
}
