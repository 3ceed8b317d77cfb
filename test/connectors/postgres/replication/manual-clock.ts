import { vi } from 'vitest';
import type { Clock } from '../../../../src/clock.ts';

/** A clock and the timers of the process, moved by hand; `release` gives the real ones back. */
export function manualClock(): {
  readonly clock: Clock;
  advance(ms: number): Promise<void>;
  release(): void;
} {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  });
  return {
    clock: {
      nowMs: () => Date.now(),
      monotonicMs: () => performance.now(),
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          const timer = setTimeout(resolve, ms);
          signal?.addEventListener('abort', () => {
            clearTimeout(timer);
            reject(signal.reason as Error);
          });
        }),
    },
    advance: async (ms) => {
      await vi.advanceTimersByTimeAsync(ms);
    },
    release: () => void vi.useRealTimers(),
  };
}
