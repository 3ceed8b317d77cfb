import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EventLog } from '../../src/event-log/contract.ts';
import { openEventLog } from '../../src/event-log/open-event-log.ts';

/**
 * What an event costs in the log: appended and synced, then read from the tail and from disk with the cursor moved to each.
 * Run alone: npx node test/bench/event-log.bench.ts [events]. CPU time is of the whole process, writing threads included.
 */

const MiB = 1024 * 1024;
const EVENTS_PER_TRANSACTION = 10;
const BODY_BYTES = 400;

const events = Number(process.argv[2] ?? 1_000_000);
const dir = await mkdtemp(join(tmpdir(), 'tailrace-bench-'));
const options = {
  dir,
  limitBytes: 100_000 * MiB,
  segmentBytes: 128 * MiB,
  retainAgeMs: 0,
  retainBytes: 0,
  maxUnsyncedBytes: 64 * MiB,
  syncIntervalMs: 20,
  tailBytes: 64 * MiB,
};
const limit = { maxEvents: 8192, maxBytes: 4 * MiB, maxTransactionBytes: 64 * MiB, lingerMs: 0 };

try {
  let log = await open();
  await measure('append + sync', () => appendAll(log));
  await measure('read from disk, cursor', () => readAll(log));
  await log.close();
  await rm(dir, { recursive: true });
  log = await open();
  await measure('append + sync, with a reader at the tail', async () => {
    const reading = readAll(log);
    await appendAll(log);
    await reading;
  });
  await log.close();
} finally {
  await rm(dir, { recursive: true, force: true });
}

async function open(): Promise<EventLog> {
  const log = await openEventLog(options);
  await log.setIdentity({
    pipeline: 'bench',
    database: '1/1',
    slot: 'bench',
    generation: 1,
    timeline: 1,
    slotCreated: true,
  });
  return log;
}

async function appendAll(log: EventLog): Promise<void> {
  const relation = log.relation({
    oid: 1,
    schema: 'public',
    table: 'orders',
    replicaIdentity: 'default',
    columns: [],
    key: [],
  });
  // Like a decoder: events lie one behind the other in what a socket gave.
  const body = Buffer.alloc(64 * 1024, 'N');
  const event = { relation, kind: 'insert' as const, walLsn: 0n, body, start: 0, end: 0 };
  let lsn = 1000n;
  for (let done = 0; done < events; done += EVENTS_PER_TRANSACTION) {
    log.begin({ commitLsn: lsn + 50n, xid: 1, commitTimeUs: 1n });
    for (let i = 0; i < EVENTS_PER_TRANSACTION; i++) {
      event.walLsn = lsn + BigInt(i);
      event.start = (done * 7 + i * BODY_BYTES) % (body.length - BODY_BYTES);
      event.end = event.start + BODY_BYTES;
      log.append(event);
    }
    log.commit(lsn + 90n);
    lsn += 100n;
    await log.ready();
    // A socket hands over some 64 KiB at once.
    if (done % 150 === 0) await new Promise(setImmediate);
  }
  await log.sync();
}

async function readAll(log: EventLog): Promise<void> {
  const reader = log.read(undefined, 'bench');
  const { signal } = new AbortController();
  let checked = 0;
  for (let read = 0; read < events; ) {
    const batch = await reader.next(limit, signal);
    for (let i = 0; i < batch.count; i++) checked += batch.event(i).seq;
    read += batch.count;
    batch.release();
  }
  await reader.close();
  if (checked !== (events / EVENTS_PER_TRANSACTION) * 55) throw new Error('events were lost');
}

async function measure(what: string, run: () => Promise<void>): Promise<void> {
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  await run();
  const wallUs = (performance.now() - startedMs) * 1000;
  const { user, system } = process.cpuUsage(cpu);
  console.log(
    `${what.padEnd(42)} ${per(user + system)} us CPU/event (${per(user)} user), ${per(wallUs)} us wall/event, ` +
      `${Math.round(process.memoryUsage().rss / MiB)} MiB`,
  );
}

function per(us: number): string {
  return (us / events).toFixed(2);
}
