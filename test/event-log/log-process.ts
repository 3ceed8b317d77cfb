import { setTimeout as delay } from 'node:timers/promises';
import { openEventLog } from '../../src/event-log/open-event-log.ts';
import { IDENTITY, MiB, numbered, send, transaction } from './log-fixture.ts';

/**
 * A process of its own that works on an event log, for tests that need a second one or kill it.
 *   hold DIR               opens the log and says `open`, or the code and message of what kept it from it
 *   write DIR SEGMENT      appends numbered transactions without an end, and says how far they are synced
 *   huge DIR BYTES         appends one transaction of so many bytes, reads it in pieces, and says how much memory that took
 */
const [mode, dir = '', argument = ''] = process.argv.slice(2);
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const options = {
  dir,
  limitBytes: 4096 * MiB,
  segmentBytes: mode === 'write' ? Number(argument) : 64 * MiB,
  retainAgeMs: Number.POSITIVE_INFINITY,
  retainBytes: Number.POSITIVE_INFINITY,
  maxUnsyncedBytes: 4 * MiB,
  syncIntervalMs: 0,
  tailBytes: 4 * MiB,
};

switch (mode) {
  case 'hold':
    await hold();
    break;
  case 'write':
    await write();
    break;
  case 'huge':
    await huge(Number(argument));
    break;
  default:
    throw new Error(`unknown mode ${mode}`);
}

async function hold(): Promise<void> {
  try {
    const log = await openEventLog(options);
    await log.setAdmin({ url: 'http://127.0.0.1:9187', token: 'secret' });
    say('open');
    await delay(60_000);
  } catch (error) {
    const { code, message } = error as Error & { readonly code: string };
    say(`${code} ${message}`);
  }
}

async function write(): Promise<void> {
  const log = await openEventLog(options);
  if (log.facts.identity === undefined) await log.setIdentity(IDENTITY);
  log.onSynced(() => say(String(log.synced)));
  say(String(log.synced));
  for (let n = log.facts.last.commitLsn / 1000n + 1n; ; n++) {
    const waiting = log.ready();
    if (waiting !== undefined) await waiting;
    send(log, numbered(n));
    if (n % 7n === 0n) log.progress(n * 1000n + 500n);
    if (n % 20n === 0n) await new Promise(setImmediate);
  }
}

async function huge(bytes: number): Promise<void> {
  const log = await openEventLog(options);
  await log.setIdentity(IDENTITY);
  const rowBytes = 10_000;
  const rows = Math.ceil(bytes / rowBytes);
  const { events } = transaction(1000n, ['x'.repeat(rowBytes)]);
  const reader = log.read(undefined, 'reader');
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  let peak = 0;
  const look = (): void => {
    peak = Math.max(peak, process.memoryUsage().rss - before);
  };
  const relation = log.relation({
    oid: 1,
    schema: 'public',
    table: 'huge',
    replicaIdentity: 'full',
    columns: [],
    key: [],
  });
  const body = Buffer.concat([
    Buffer.from('N\0\x01t\0\0\x27\x10', 'latin1'),
    Buffer.from(events[0]?.payload ?? ''),
  ]);
  log.begin({ commitLsn: 5000n, xid: 1, commitTimeUs: 1n });
  for (let i = 0; i < rows; i++) {
    await log.ready();
    log.append({ relation, kind: 'insert', walLsn: 4000n, body, start: 0, end: body.length });
    if (i % 100 === 0) look();
  }
  log.commit(5100n);
  const limit = { maxEvents: 1000, maxBytes: 2 * MiB, maxTransactionBytes: 2 * MiB, lingerMs: 0 };
  let seq = 0;
  for (let whole = false; !whole; ) {
    const batch = await reader.next(limit, AbortSignal.timeout(60_000));
    for (let i = 0; i < batch.count; i++) {
      const event = batch.event(i);
      if (event.seq !== ++seq || event.transaction.eventCount !== rows)
        throw new Error(`event ${seq} of ${rows} is ${event.seq} of ${event.transaction.eventCount}`);
    }
    whole = batch.wholeTransactions;
    batch.release();
    look();
  }
  if (seq !== rows) throw new Error(`${seq} events of ${rows}`);
  await log.close();
  say(`${rows} ${peak}`);
}
