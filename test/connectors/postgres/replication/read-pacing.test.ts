import { expect, test } from 'vitest';
import { ReadPacing } from '../../../../connectors/postgres/replication/read-pacing.ts';

const KIB = 1024;
const BEHIND_MS = 5000;
const PAUSE_MS = 8;

test('never waits at the live end, however little comes at a time', () => {
  const policy = new ReadPacing();
  for (let nowMs = 0; nowMs < 5000; nowMs += 1) {
    expect(policy.pauseAfter({ nowMs, bytes: 400, lagMs: 3 })).toBe(0);
  }
});

test('waits after every short read while behind, as long as waiting pays', () => {
  const policy = new ReadPacing();
  expect(policy.pauseAfter({ nowMs: 0, bytes: 300, lagMs: BEHIND_MS })).toBe(PAUSE_MS);
  for (let nowMs = PAUSE_MS; nowMs < 5000; nowMs += PAUSE_MS) {
    expect(policy.pauseAfter({ nowMs, bytes: 600 * KIB, lagMs: BEHIND_MS })).toBe(PAUSE_MS);
  }
});

test('does not wait when more is there than one turn takes: we are the slower side', () => {
  const policy = new ReadPacing();
  for (let nowMs = 0; nowMs < 100; nowMs++) {
    expect(policy.pauseAfter({ nowMs, bytes: 1536 * KIB, lagMs: BEHIND_MS })).toBe(0);
  }
});

/** Milliseconds paused of ten seconds in which a row comes every millisecond. */
function pausedOfTenSeconds(policy: ReadPacing): number {
  let paused = 0;
  for (let nowMs = 0; nowMs < 10_000; ) {
    const pauseMs = policy.pauseAfter({ nowMs, bytes: 400, lagMs: BEHIND_MS });
    paused += pauseMs;
    nowMs += Math.max(1, pauseMs);
  }
  return paused;
}

test('a slow stream that is late for another reason is hardly ever kept waiting', () => {
  const paused = pausedOfTenSeconds(new ReadPacing());
  expect(paused).toBeGreaterThan(0);
  expect(paused).toBeLessThan(400);
});

test('a moment without data does not end the waiting, and a full read makes up for it', () => {
  const policy = new ReadPacing();
  let nowMs = 0;
  for (let round = 0; round < 20; round++) {
    for (const bytes of [600 * KIB, 100, 100, 100]) {
      expect(policy.pauseAfter({ nowMs, bytes, lagMs: BEHIND_MS })).toBe(PAUSE_MS);
      nowMs += PAUSE_MS;
    }
  }
});

test('the end of the lag ends the waiting', () => {
  const policy = new ReadPacing();
  expect(policy.pauseAfter({ nowMs: 0, bytes: 300, lagMs: BEHIND_MS })).toBe(PAUSE_MS);
  expect(policy.pauseAfter({ nowMs: 8, bytes: 600 * KIB, lagMs: 20 })).toBe(0);
});
