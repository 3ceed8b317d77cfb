import { expect, test } from 'vitest';
import type { Lsn } from '../../../../src/events/lsn.ts';
import { waitFor } from '../../../support/wait.ts';
import { RecordingLog } from '../recording-log.ts';
import { StreamHarness } from './stream-harness.ts';
import { WireTap } from './wire-tap.ts';

const SETUP = 'CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE unpublished (id int)';

function open(): Promise<StreamHarness> {
  return StreamHarness.open({ setup: SETUP, publish: 'FOR TABLE t' });
}

async function tapped(harness: StreamHarness): Promise<{ readonly tap: WireTap; readonly url: string }> {
  const tap = await WireTap.listen({ port: Number(new URL(harness.database.url).port) });
  return { tap, url: tap.url(harness.database.url) };
}

async function confirmedBySlot(harness: StreamHarness): Promise<Lsn | undefined> {
  return (await harness.slotFacts())?.confirmedFlushLsn;
}

test('two transactions whose commit records touch, the first confirmed: after a restart the second arrives', async () => {
  await using harness = await open();
  const stream = harness.start();
  const [a, b] = [await harness.database.connect(), await harness.database.connect()];
  let id = 0;
  const adjacent = async (): Promise<readonly [Lsn, string] | undefined> => {
    await Promise.all([a.query('BEGIN'), b.query('BEGIN')]);
    await a.query(`INSERT INTO t VALUES (${id++}, 'first')`);
    await b.query(`INSERT INTO t VALUES (${id++}, 'second')`);
    await Promise.all([a.query('COMMIT'), b.query('COMMIT')]);
    await stream.untilEvents(id);
    const [first, second] = stream.log.transactions.slice(-2);
    return first !== undefined && first.endLsn === second?.commitLsn
      ? [first.endLsn, stream.events.at(-1) ?? '']
      : undefined;
  };
  const [firstEnd, second] = await waitFor(adjacent, {
    describe: 'two adjacent commit records',
    intervalMs: 0,
  });
  stream.confirm(firstEnd);
  await waitFor(async () => (await confirmedBySlot(harness)) === firstEnd, { describe: 'the slot to move' });
  await stream.stop();
  await harness.slotFree();
  const again = harness.start({ from: firstEnd });
  expect(await again.untilEvents(1)).toEqual([second]);
});

test('the server is told exactly what was confirmed, never anything else, and 0 before', async () => {
  await using harness = await open();
  const { tap, url } = await tapped(harness);
  await using _ = tap;
  const stream = harness.start({ url, session: '-c wal_sender_timeout=3s' });
  const allowed: Lsn[] = [0n];
  for (let i = 1; i <= 30; i++) {
    await harness.sql(`INSERT INTO t VALUES (${i}, 'v')`, `INSERT INTO unpublished VALUES (${i})`);
    await stream.untilEvents(i);
    // Every third, and not the newest: most positions received are never allowed.
    const held = stream.log.transactions.at(-3);
    if (i % 3 === 0 && held !== undefined) {
      allowed.push(held.endLsn);
      stream.confirm(held.endLsn);
      await waitFor(() => tap.statuses.at(-1)?.flushed === held.endLsn, { describe: 'the status message' });
    }
  }
  expect(allowed.length).toBeGreaterThan(9);
  expect(tap.statuses[0]?.flushed).toBe(0n);
  let last = 0n;
  for (const { written, flushed, applied } of tap.statuses) {
    expect([written, applied]).toEqual([flushed, flushed]);
    expect(allowed).toContain(flushed);
    expect(flushed).toBeGreaterThanOrEqual(last);
    last = flushed;
  }
  expect(await confirmedBySlot(harness)).toBe(allowed.at(-1));
});

test('a position beyond what this connection has received is not told', async () => {
  await using harness = await open();
  const { tap, url } = await tapped(harness);
  await using _ = tap;
  const stream = harness.start({ url });
  await harness.sql(`INSERT INTO t VALUES (1, 'v')`);
  await stream.caughtUp(harness);
  stream.confirm(stream.log.appended + 0x1000_0000n);
  await waitFor(() => tap.statuses.some(({ flushed }) => flushed > 0n), { describe: 'a status message' });
  await stream.stop();
  for (const { flushed } of tap.statuses) expect(flushed).toBeLessThanOrEqual(stream.stream.received);
});

test('stopping tells the last position and ends the copy in order', async () => {
  await using harness = await open();
  const { tap, url } = await tapped(harness);
  await using _ = tap;
  const stream = harness.start({ url });
  for (let i = 1; i <= 5; i++) {
    await harness.sql(`INSERT INTO t VALUES (${i}, 'v')`);
    await stream.untilEvents(i);
    stream.confirm(stream.log.appended);
  }
  expect(await stream.stop()).toBe('aborted');
  expect(tap.copyDones).toBe(1);
  expect(await confirmedBySlot(harness)).toBe(stream.log.transactions.at(-1)?.endLsn);
  expect((await harness.slotFacts())?.active).toBe(false);
});

test('back-pressure longer than wal_sender_timeout does not end the connection', async () => {
  await using harness = await open();
  const { tap, url } = await tapped(harness);
  await using _ = tap;
  const stream = harness.start({ url, session: '-c wal_sender_timeout=2s' });
  await harness.sql(`INSERT INTO t VALUES (0, 'v')`);
  await stream.untilEvents(1);
  const pid = (await harness.slotFacts())?.activePid;
  stream.log.close();
  const closedMs = performance.now();
  // More than all buffers between the server and us hold.
  await harness.sql(`INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 30000) i`);
  await waitFor(() => performance.now() - closedMs > 4500 && tap.statuses.length > 6, {
    describe: 'reading to be held for twice the time-out',
  });
  const heldAt = stream.log.events.length + stream.log.openEvents.length;
  expect(heldAt).toBeLessThan(20_000);
  expect(stream.over).toBe(false);
  stream.log.open();
  await stream.untilEvents(30_001);
  expect((await harness.slotFacts())?.activePid).toBe(pid);
  const gaps = tap.statuses.slice(1).map(({ atMs }, i) => atMs - (tap.statuses[i]?.atMs ?? 0));
  expect(Math.max(...gaps)).toBeLessThan(2000);
});

test('with wal_sender_timeout off the stream works and confirms', async () => {
  await using harness = await open();
  const stream = harness.start({ session: '-c wal_sender_timeout=0' });
  await harness.sql(`INSERT INTO t VALUES (1, 'v')`);
  await stream.untilEvents(1);
  const confirmed = stream.log.appended;
  stream.confirm(confirmed);
  await waitFor(async () => (await confirmedBySlot(harness)) === confirmed, {
    describe: 'the slot to move',
  });
});

test('the slot moves while only unpublished tables are written, and a restart goes on from there', async () => {
  await using harness = await open();
  const log = new RecordingLog(harness.origin);
  const stream = harness.start({ log });
  await harness.sql('INSERT INTO unpublished SELECT generate_series(1, 1000)');
  const written = await harness.walEnd();
  await stream.until(() => log.appended >= written, 'a mark beyond the unpublished changes');
  expect(log.transactions).toEqual([]);
  stream.confirm(log.appended);
  await waitFor(async () => ((await confirmedBySlot(harness)) ?? 0n) >= written, {
    describe: 'the slot to move',
  });
  await stream.stop();
  await harness.sql(`INSERT INTO t VALUES (1, 'v')`);
  const again = harness.start({ log });
  expect(await again.untilEvents(1)).toEqual(['insert public.t -> (1, v)']);
});

test('transactions that the log already has are dropped whole when the slot is behind it', async () => {
  await using harness = await open();
  const stream = harness.start();
  for (let i = 1; i <= 4; i++) await harness.sql(`INSERT INTO t VALUES (${i}, 'v')`);
  await stream.untilEvents(4);
  const second = stream.log.transactions[1]?.endLsn ?? 0n;
  await stream.stop();
  // Nothing was confirmed: the server would send all four. It is asked from the beginning, as after a crash that took the slot back.
  const log = new RecordingLog(second);
  const again = harness.start({ log, from: harness.origin });
  expect(await again.untilEvents(2)).toEqual(['insert public.t -> (3, v)', 'insert public.t -> (4, v)']);
  expect(again.stream.replayed).toBe(2);
});
