import { afterEach, beforeEach, expect, test } from 'vitest';
import { InboundWatchdog } from '../../../../connectors/postgres/replication/inbound-watchdog.ts';
import { computeLivenessTimings } from '../../../../connectors/postgres/replication/liveness.ts';
import { StandbyFeedback } from '../../../../connectors/postgres/replication/standby-feedback.ts';
import { manualClock } from './manual-clock.ts';

let time: ReturnType<typeof manualClock>;
beforeEach(() => {
  time = manualClock();
});
afterEach(() => time.release());

interface Sent {
  readonly atMs: number;
  readonly confirmed: bigint;
  readonly asks: boolean;
}

function feedback(walSenderTimeoutMs: number) {
  const sent: Sent[] = [];
  const startMs = time.clock.monotonicMs();
  const state = { confirmed: 0n, lastHeardMs: startMs };
  const timings = computeLivenessTimings(walSenderTimeoutMs);
  const feed = new StandbyFeedback({
    timings,
    clock: time.clock,
    confirmed: () => state.confirmed,
    lastHeardMs: () => state.lastHeardMs,
    send: (status) =>
      sent.push({
        atMs: time.clock.monotonicMs() - startMs,
        confirmed: status.readBigUInt64BE(9),
        asks: status[33] === 1,
      }),
  });
  feed.start();
  return { feed, sent, state, hear: () => (state.lastHeardMs = time.clock.monotonicMs()) };
}

test('speaks at once, then by its interval, and asks a quiet server for an answer', async () => {
  const { sent } = feedback(3000);
  await time.advance(3500);
  expect(sent).toEqual([
    { atMs: 0, confirmed: 0n, asks: false },
    { atMs: 1000, confirmed: 0n, asks: true },
    { atMs: 2000, confirmed: 0n, asks: true },
    { atMs: 3000, confirmed: 0n, asks: true },
  ]);
});

test('a moved position is told once a second at most, with what holds then', async () => {
  const { feed, sent, state, hear } = feedback(60_000);
  for (let i = 1; i <= 25; i++) {
    state.confirmed = BigInt(i);
    hear();
    feed.moved();
    await time.advance(100);
  }
  expect(sent.map(({ atMs, confirmed }) => [atMs, confirmed])).toEqual([
    [0, 0n],
    [1000, 10n],
    [2000, 20n],
  ]);
  await time.advance(600);
  expect(sent.at(-1)).toEqual({ atMs: 3000, confirmed: 25n, asks: false });
  await time.advance(9000);
  expect(sent).toHaveLength(4);
});

test('a position that moves after a quiet second is told at once', async () => {
  const { feed, sent, state } = feedback(60_000);
  await time.advance(1500);
  state.confirmed = 7n;
  feed.moved();
  expect(sent.at(-1)).toMatchObject({ atMs: 1500, confirmed: 7n });
});

test('answers at once; a server that asks after every answer gets a hundred a second, not more', async () => {
  const { feed, sent } = feedback(60_000);
  await time.advance(50);
  feed.reply();
  expect(sent).toHaveLength(2);
  for (let i = 0; i < 1000; i++) {
    feed.reply();
    if (i % 10 === 0) await time.advance(1);
  }
  expect(sent.length).toBeGreaterThan(8);
  expect(sent.length).toBeLessThan(14);
});

test('is silent after stop', async () => {
  const { feed, sent } = feedback(3000);
  feed.stop();
  feed.reply();
  feed.moved();
  feed.sendNow();
  await time.advance(10_000);
  expect(sent).toHaveLength(1);
});

test('the watchdog gives up after twice the time-out of silence, once', async () => {
  const lost: number[] = [];
  const state = { lastHeardMs: time.clock.monotonicMs(), held: false };
  const watchdog = new InboundWatchdog({
    clock: time.clock,
    inboundTimeoutMs: 4000,
    lastHeardMs: () => state.lastHeardMs,
    readingHeld: () => state.held,
    onLost: (silentMs) => lost.push(silentMs),
  });
  watchdog.start();
  await time.advance(3900);
  state.lastHeardMs = time.clock.monotonicMs();
  await time.advance(3900);
  expect(lost).toEqual([]);
  state.held = true;
  await time.advance(60_000);
  expect(lost).toEqual([]);
  state.held = false;
  state.lastHeardMs = time.clock.monotonicMs();
  await time.advance(20_000);
  expect(lost).toHaveLength(1);
  expect(lost[0]).toBeGreaterThan(4000);
  expect(lost[0]).toBeLessThan(5000);
});
