import { type Clock, systemClock } from '../../src/clock.ts';

const SPEED = 20;

/** A clock on which time passes twenty times as fast: back-offs and intervals of seconds take moments. */
export const fastClock: Clock = {
  nowMs: () => systemClock.nowMs(),
  monotonicMs: () => systemClock.monotonicMs() * SPEED,
  sleep: (ms, signal) => systemClock.sleep(ms / SPEED, signal),
};

/** Resolves when this much has passed on the fast clock. */
export function passed(ms: number): Promise<void> {
  return fastClock.sleep(ms);
}
