import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  asksForReply,
  computeLivenessTimings,
  evaluateInboundLiveness,
  statusDueMs,
} from '../../../../connectors/postgres/replication/liveness.ts';

test('status messages go out three times in wal_sender_timeout, at least every ten seconds', () => {
  expect(computeLivenessTimings(60_000)).toEqual({ statusIntervalMs: 10_000, inboundTimeoutMs: 120_000 });
  expect(computeLivenessTimings(6000)).toEqual({ statusIntervalMs: 2000, inboundTimeoutMs: 12_000 });
  expect(computeLivenessTimings(1)).toEqual({ statusIntervalMs: 1, inboundTimeoutMs: 2 });
});

test('a server without wal_sender_timeout is told where we are, and never given up', () => {
  expect(computeLivenessTimings(0)).toEqual({ statusIntervalMs: 10_000, inboundTimeoutMs: undefined });
});

test('two messages may be lost before the server gives us up', () => {
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 2 ** 31 - 1 }), (timeoutMs) => {
      expect(computeLivenessTimings(timeoutMs).statusIntervalMs * 3).toBeLessThanOrEqual(timeoutMs);
    }),
  );
});

test('silence is death beyond the time-out, unless it is our own or nobody counts', () => {
  const alive = { sinceLastHeardMs: 4000, inboundTimeoutMs: 4000, readingHeld: false };
  expect(evaluateInboundLiveness(alive)).toBe('alive');
  expect(evaluateInboundLiveness({ ...alive, sinceLastHeardMs: 4001 })).toBe('lost');
  expect(evaluateInboundLiveness({ ...alive, sinceLastHeardMs: 1e9, readingHeld: true })).toBe('alive');
  expect(evaluateInboundLiveness({ ...alive, sinceLastHeardMs: 1e9, inboundTimeoutMs: undefined })).toBe(
    'alive',
  );
});

test('the next status message: by interval, once a second for a moved position, at once for an answer', () => {
  const state = { lastSentMs: 5000, statusIntervalMs: 10_000, moved: false, replyDue: false };
  expect(statusDueMs(state)).toBe(15_000);
  expect(statusDueMs({ ...state, moved: true })).toBe(6000);
  expect(statusDueMs({ ...state, moved: true, statusIntervalMs: 300 })).toBe(5300);
  expect(statusDueMs({ ...state, replyDue: true })).toBeLessThanOrEqual(5010);
});

test('a quiet server is asked for a sign of life, a talking one is not', () => {
  const timings = computeLivenessTimings(6000);
  expect(asksForReply(1999, timings)).toBe(false);
  expect(asksForReply(2000, timings)).toBe(true);
  expect(asksForReply(1e9, computeLivenessTimings(0))).toBe(false);
});
