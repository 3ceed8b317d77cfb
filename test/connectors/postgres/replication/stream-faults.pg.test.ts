import { expect, test } from 'vitest';
import { startTcpProxy, type TcpProxy } from '../../../support/tcp-proxy.ts';
import { waitFor } from '../../../support/wait.ts';
import { RecordingLog } from '../recording-log.ts';
import { StreamHarness } from './stream-harness.ts';
import { WireTap } from './wire-tap.ts';

const SETUP = 'CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE unpublished (id int)';

function open(): Promise<StreamHarness> {
  return StreamHarness.open({ setup: SETUP, publish: 'FOR TABLE t' });
}

function portOf(harness: StreamHarness): number {
  return Number(new URL(harness.database.url).port);
}

async function proxied(harness: StreamHarness): Promise<{ readonly proxy: TcpProxy; readonly url: string }> {
  const proxy = await startTcpProxy({ port: portOf(harness) });
  return { proxy, url: proxy.url(harness.database.url) };
}

test('a connection that exists for us only is given up after twice wal_sender_timeout', async () => {
  await using harness = await open();
  const { proxy, url } = await proxied(harness);
  await using _ = proxy;
  const stream = harness.start({ url, session: '-c wal_sender_timeout=500ms' });
  await harness.sql(`INSERT INTO t VALUES (1, 'v')`);
  await stream.untilEvents(1);
  const stalledMs = performance.now();
  proxy.stall();
  const error = await stream.failure();
  expect(error).toMatchObject({ code: 'E_CONNECT', retriable: true });
  expect(error.message).toMatch(/said nothing for \d+ ms/);
  const tookMs = performance.now() - stalledMs;
  expect(tookMs).toBeGreaterThan(500);
  // Twice the time-out, and the bounded wait for a connection that does not close.
  expect(tookMs).toBeLessThan(6000);
});

test('cut in the middle of a transaction, at many places: rolled back, retriable, and whole the next time', async () => {
  await using harness = await open();
  const { proxy, url } = await proxied(harness);
  await using _ = proxy;
  const log = new RecordingLog(harness.origin);
  const first = harness.start({ url, log });
  await first.connected();
  proxy.cutAfter('down', 5000);
  await harness.sql(`INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 5000) i`);
  expect(await first.failure()).toMatchObject({ code: 'E_CONNECT', retriable: true });
  for (const bytes of [20_000, 60_123, 200_011, 500_000, 900_007]) {
    await harness.slotFree();
    // Connecting takes some kilobytes of them.
    proxy.cutAfter('down', bytes);
    expect(await harness.start({ url, log }).failure()).toMatchObject({ code: 'E_CONNECT', retriable: true });
    expect(log.inTransaction).toBe(false);
    expect(log.transactions).toEqual([]);
  }
  // Not each time: what waited for its relation's shape had not reached the log.
  expect(log.rollbacks).toBeGreaterThan(1);
  await harness.slotFree();
  await harness.start({ url, log }).untilEvents(5000);
  expect(log.transactions).toHaveLength(1);
});

test('a terminated walsender is retriable', async () => {
  await using harness = await open();
  const stream = harness.start();
  await stream.connected();
  await harness.database.query('SELECT pg_terminate_backend($1)', [(await harness.slotFacts())?.activePid]);
  expect(await stream.failure()).toMatchObject({ code: 'E_CONNECT', retriable: true });
});

test('a stream that cannot be decoded ends once, named, with the transaction forgotten', async () => {
  await using harness = await open();
  let corrupted = 0;
  const tap = await WireTap.listen({
    port: portOf(harness),
    down: (chunk) => {
      // The kind of the column before its four bytes of length.
      const at = chunk.indexOf('corrupt me');
      if (at < 0) return chunk;
      corrupted += 1;
      const changed = Buffer.from(chunk);
      changed.write('b', at - 5);
      return changed;
    },
  });
  await using _ = tap;
  const stream = harness.start({ url: tap.url(harness.database.url) });
  await stream.connected();
  await harness.sql(`INSERT INTO t VALUES (1, 'good')`);
  await harness.sql(`BEGIN; INSERT INTO t VALUES (2, 'good'), (3, 'corrupt me'), (4, 'good'); COMMIT`);
  await harness.sql(`INSERT INTO t VALUES (5, 'never read')`);
  const error = await stream.failure();
  expect(error).toMatchObject({ code: 'E_PROTOCOL', retriable: false });
  expect(error.message).toMatch(
    /Column 1 has the unknown kind 'b' \(0x62\).*near WAL position [0-9A-F]+\/[0-9A-F]+/,
  );
  expect(corrupted).toBe(1);
  expect(stream.events).toEqual(['insert public.t -> (1, good)']);
  expect(stream.log.inTransaction).toBe(false);
  expect(tap.statuses.every(({ flushed }) => flushed === 0n)).toBe(true);
});

test('a throw of the log ends the stream the same way', async () => {
  await using harness = await open();
  const log = new RecordingLog(harness.origin);
  let appends = 0;
  log.append = () => {
    appends += 1;
    throw new RangeError('disk of glass');
  };
  const stream = harness.start({ log });
  await stream.connected();
  await harness.sql(`INSERT INTO t SELECT i, 'v' FROM generate_series(1, 1000) i`);
  const error = await stream.failure();
  expect(error).toMatchObject({ code: 'E_INTERNAL', message: 'disk of glass' });
  expect(appends).toBe(1);
  expect(log.inTransaction).toBe(false);
});

test('a log that cannot be written ends the stream with its error', async () => {
  await using harness = await open();
  const log = new RecordingLog(harness.origin);
  const stream = harness.start({ log });
  await stream.connected();
  log.ready = () => Promise.reject(new RangeError('no space'));
  await harness.sql(`INSERT INTO t VALUES (1, 'v')`);
  expect(await stream.failure()).toMatchObject({ code: 'E_INTERNAL', message: 'no space' });
});

test('changes of a time without the publication are refused, never skipped', async () => {
  await using harness = await open();
  // What the server says after its warning arrives in one read with it.
  const tap = await WireTap.listen({ port: portOf(harness), gatherMs: 30 });
  await using _ = tap;
  const url = tap.url(harness.database.url);
  const stream = harness.start({ url });
  await harness.sql(`INSERT INTO t VALUES (1, 'v')`);
  await stream.untilEvents(1);
  await harness.sql(`DROP PUBLICATION ${harness.publication}`, `INSERT INTO t VALUES (2, 'lost')`);
  const lost = await harness.walEnd();
  const error = await stream.failure();
  expect(error).toMatchObject({ code: 'E_PUBLICATION', retriable: false });
  expect(error.message).toContain(`Publication "${harness.publication}" did not exist`);
  await harness.slotFree();
  expect(await harness.start({ url, log: stream.log }).failure()).toMatchObject({ code: 'E_PUBLICATION' });
  // Nothing says that the lost change is held.
  for (const mark of stream.log.marks) expect(mark).toBeLessThan(lost);
  // Making it anew does not bring the change back.
  await harness.sql(`CREATE PUBLICATION ${harness.publication} FOR TABLE t`, `INSERT INTO t VALUES (3, 'v')`);
  await harness.slotFree();
  expect(await harness.start({ url, log: stream.log }).failure()).toMatchObject({ code: 'E_PUBLICATION' });
  expect(stream.events).toEqual(['insert public.t -> (1, v)']);
});

test('a slot that is not there', async () => {
  await using harness = await open();
  const stream = harness.start({ slot: `${harness.slot}_other` });
  const error = await stream.failure();
  expect(error).toMatchObject({ code: 'E_SLOT_MISSING', retriable: false });
  expect(error.message).toContain(`"${harness.slot}_other"`);
});

test('a slot that another stream holds is waited for', async () => {
  await using harness = await open();
  const holder = harness.start();
  await holder.connected();
  const waiting = harness.start();
  const { rows } = await harness.database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  expect(rows).toHaveLength(1);
  await waitFor(
    async () => {
      const found = await harness.database.query(
        `SELECT FROM pg_stat_activity WHERE application_name = 'tailrace/stream' AND datname = current_database() AND state = 'idle'`,
      );
      return found.rowCount === 1;
    },
    { describe: 'the second stream to wait', intervalMs: 1 },
  );
  expect(waiting.stream.connected).toBe(false);
  await holder.stop();
  await waiting.connected();
});

test('a physical slot and a slot of another database are refused by name', async () => {
  await using harness = await open();
  const name = `${harness.database.name}_physical`;
  await harness.sql(`SELECT pg_create_physical_replication_slot('${name}')`);
  try {
    const stream = harness.start({ slot: name });
    expect(await stream.failure()).toMatchObject({ code: 'E_SLOT_FOREIGN', retriable: false });
  } finally {
    await harness.sql(`SELECT pg_drop_replication_slot('${name}')`);
  }
  await using other = await open();
  const foreign = other.start({ slot: harness.slot });
  const error = await foreign.failure();
  expect(error).toMatchObject({ code: 'E_SLOT_FOREIGN', retriable: false });
  expect(error.message).toContain(`belongs to database ${harness.database.name}`);
});

test('stopping at any moment is no error, leaves no transaction open and lets the slot go', async () => {
  await using harness = await open();
  await harness.sql(`INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 20000) i`);
  const log = new RecordingLog(harness.origin);
  for (let turns = 0; turns < 200; turns += 13) {
    const stream = harness.start({ log });
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(await stream.stop()).toBe('aborted');
    expect(log.inTransaction).toBe(false);
    await harness.slotFree();
  }
  if (log.transactions.length === 0) await harness.start({ log }).untilEvents(20_000);
  expect(log.transactions).toHaveLength(1);
});

test('nobody listens', async () => {
  await using harness = await open();
  const { proxy, url } = await proxied(harness);
  await using _ = proxy;
  await proxy.refuse();
  expect(await harness.start({ url }).failure()).toMatchObject({ code: 'E_CONNECT', retriable: true });
});

test('a server that accepts and then says nothing can be left', async () => {
  await using harness = await open();
  const { proxy, url } = await proxied(harness);
  await using _ = proxy;
  proxy.stall();
  const stream = harness.start({ url });
  await waitFor(() => proxy.accepted > 0, { describe: 'the connection' });
  expect(await stream.stop()).toBe('aborted');
});
