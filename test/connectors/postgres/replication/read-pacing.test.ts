import { expect, test } from 'vitest';
import { ReadPacing } from '../../../../connectors/postgres/replication/read-pacing.ts';

const KIB = 1024;
const behind = 5000;

function pacing(): ReadPacing {
  return new ReadPacing({ pauseMs: 8 });
}

test('never waits at the live end, however little comes at a time', () => {
  const policy = pacing();
  for (let nowMs = 0; nowMs < 5000; nowMs += 1) {
    expect(policy.pauseAfter({ nowMs, bytes: 400, lagMs: 3 })).toBe(0);
  }
});

test('waits after a short read while behind, as long as waiting pays', () => {
  const policy = pacing();
  expect(policy.pauseAfter({ nowMs: 0, bytes: 2 * KIB, lagMs: behind })).toBe(8);
  expect(policy.pauseAfter({ nowMs: 8, bytes: 200 * KIB, lagMs: behind })).toBe(8);
  expect(policy.pauseAfter({ nowMs: 16, bytes: 200 * KIB, lagMs: behind })).toBe(8);
});

test('does not wait when the socket is full: we are the slower side', () => {
  const policy = pacing();
  for (let nowMs = 0; nowMs < 100; nowMs++) {
    expect(policy.pauseAfter({ nowMs, bytes: 512 * KIB, lagMs: behind })).toBe(0);
  }
});

test('a pause that gathered little is not repeated for a second: late transactions of a slow stream', () => {
  const policy = pacing();
  expect(policy.pauseAfter({ nowMs: 0, bytes: 400, lagMs: behind })).toBe(8);
  for (let nowMs = 8; nowMs < 1008; nowMs += 10) {
    expect(policy.pauseAfter({ nowMs, bytes: 400, lagMs: behind })).toBe(0);
  }
  expect(policy.pauseAfter({ nowMs: 1008, bytes: 400, lagMs: behind })).toBe(8);
});

test('the end of the lag ends the waiting', () => {
  const policy = pacing();
  expect(policy.pauseAfter({ nowMs: 0, bytes: 2 * KIB, lagMs: behind })).toBe(8);
  expect(policy.pauseAfter({ nowMs: 8, bytes: 200 * KIB, lagMs: 20 })).toBe(0);
});
