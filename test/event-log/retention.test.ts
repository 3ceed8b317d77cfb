import { expect, test } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import type { EventLog } from '../../src/event-log/contract.ts';
import type { OpenEventLogOptions } from '../../src/event-log/open-event-log.ts';
import { segmentsToRemove } from '../../src/event-log/retention.ts';
import { BEFORE_ALL, type Position } from '../../src/events/position.ts';
import {
  append,
  begin,
  EVERYTHING,
  KiB,
  linesOf,
  readUntil,
  send,
  TestDirectory,
  transaction,
} from './log-fixture.ts';

const DAY_MS = 86_400_000;

class TestClock implements Clock {
  now = Date.UTC(2026, 0, 1);

  nowMs(): number {
    return this.now;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal);
  }
}

/** Ten segments of one transaction each, one made a day. */
async function tenDays(
  directory: TestDirectory,
  clock: TestClock,
  options: Partial<OpenEventLogOptions>,
): Promise<EventLog> {
  const log = await directory.open({ ...options, clock, segmentBytes: 300 });
  for (let day = 1; day <= 10; day++) {
    send(log, transaction(BigInt(1000 * day), ['x'.repeat(300)]));
    await log.sync();
    clock.now += DAY_MS;
  }
  expect(log.facts.segments).toBe(10);
  return log;
}

const upTo = (transactions: number): Position => ({ commitLsn: BigInt(1000 * transactions), seq: 1 });

test('released segments go when nothing is to be kept; unreleased ones stay', async () => {
  await using directory = await TestDirectory.make();
  const log = await tenDays(directory, new TestClock(), { retainAgeMs: 0, retainBytes: 0 });
  const { bytes } = log.facts;
  expect(await log.releaseBelow(BEFORE_ALL)).toBe(0);
  expect(await log.releaseBelow({ commitLsn: 1000n, seq: 0 })).toBe(0);
  const freed = await log.releaseBelow(upTo(4));
  expect(freed).toBeGreaterThan(1200);
  expect(log.facts).toMatchObject({ segments: 6, bytes: bytes - freed, first: upTo(5), startLsn: 4040n });
  // The one being written always stays.
  await log.releaseBelow(upTo(999));
  expect(log.facts).toMatchObject({ segments: 1, first: upTo(10), startLsn: 9040n });
  await log.close();
  const reopened = await directory.open();
  expect(reopened.facts).toMatchObject({ segments: 1, first: upTo(10), startLsn: 9040n, endLsn: 10_040n });
  expect((await readUntil(reopened, 10_040n)).lines).toHaveLength(1);
});

test('history is kept by age', async () => {
  await using directory = await TestDirectory.make();
  const clock = new TestClock();
  const log = await tenDays(directory, clock, { retainAgeMs: 7 * DAY_MS });
  await log.releaseBelow(upTo(10));
  expect(log.facts.first).toEqual(upTo(4));
  clock.now += 2 * DAY_MS;
  await log.releaseBelow(upTo(10));
  expect(log.facts.first).toEqual(upTo(6));
});

test('history is kept by size', async () => {
  await using directory = await TestDirectory.make();
  const log = await tenDays(directory, new TestClock(), { retainBytes: 3000 });
  await log.releaseBelow(upTo(10));
  expect(log.facts.bytes).toBeLessThanOrEqual(3000);
  expect(log.facts.segments).toBeGreaterThan(1);
});

test('a reader that retention has passed is told, and so is one that comes too late', async () => {
  await using directory = await TestDirectory.make();
  const log = await tenDays(directory, new TestClock(), { retainAgeMs: 0, tailBytes: 1, slabBytes: 500 });
  const reader = log.read(undefined, 'search');
  const one = { ...EVERYTHING, maxEvents: 1 };
  (await reader.next(one, AbortSignal.timeout(5000))).release();
  await log.releaseBelow(upTo(5));
  await expect(reader.next(one, AbortSignal.timeout(5000))).rejects.toMatchObject({
    code: 'E_GAP',
    message: expect.stringContaining('search'),
  });
  await expect(readUntil(log, 10_040n, upTo(4))).rejects.toMatchObject({ code: 'E_GAP' });
  expect((await readUntil(log, 10_040n, upTo(5))).lines).toHaveLength(5);
  expect((await readUntil(log, 10_040n)).lines).toHaveLength(5);
});

test('what is left begins with a whole transaction', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open({ segmentBytes: 1000, retainAgeMs: 0 });
  const sent = transaction(
    1000n,
    Array.from({ length: 30 }, () => 'x'.repeat(300)),
  );
  const next = transaction(2000n, ['x'.repeat(2000)]);
  for (const transactionSent of [sent, next, transaction(3000n)]) send(log, transactionSent);
  await log.sync();
  const { segments } = log.facts;
  expect(segments).toBeGreaterThan(4);
  expect(await log.releaseBelow({ commitLsn: 1000n, seq: 29 })).toBe(0);
  expect(await log.releaseBelow({ commitLsn: 1000n, seq: 30 })).toBeGreaterThan(9000);
  expect(log.facts).toMatchObject({ first: { commitLsn: 2000n, seq: 1 }, startLsn: 1040n });
});

test('a lane that has seen the last event is not behind the log, whatever progress came after it', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open({ segmentBytes: 300, retainAgeMs: 0 });
  send(log, transaction(1000n));
  log.progress(7000n);
  begin(log, transaction(8000n));
  append(log, { table: 'orders', kind: 'insert', payload: 'x'.repeat(300), walLsn: 7500n });
  log.rollback();
  send(log, transaction(8000n));
  await log.sync();
  await log.releaseBelow({ commitLsn: 1000n, seq: 1 });
  expect(log.facts).toMatchObject({ first: { commitLsn: 8000n, seq: 1 }, startLsn: 1040n });
});

test('at its limit the log makes the writer wait until something is released', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open({ limitBytes: 64 * KiB, segmentBytes: 16 * KiB });
  let sent = 0;
  const fill = (): void => {
    while (log.ready() === undefined) send(log, transaction(BigInt(1000 * ++sent), ['x'.repeat(1000)]));
  };
  fill();
  await log.sync();
  expect(log.full).toBe(true);
  expect(log.facts.bytes).toBeLessThan(70 * KiB);
  const waiting = log.ready();
  let done = false;
  void waiting?.then(() => {
    done = true;
  });
  for (let turn = 0; turn < 30; turn++) await new Promise(setImmediate);
  expect(done).toBe(false);
  // The limit comes before history, which is to be kept for ever here; but no more goes than has to.
  expect(await log.releaseBelow(upTo(sent))).toBeGreaterThan(0);
  await waiting;
  expect(log.full).toBe(false);
  expect(log.facts.segments).toBeGreaterThan(1);

  // What is released, once and for all, goes without another call.
  await log.releaseBelow(upTo(1_000_000));
  for (let i = 0; i < 300; i++) {
    await log.ready();
    send(log, transaction(BigInt(1000 * ++sent), ['x'.repeat(1000)]));
  }
  await log.sync();
  expect(log.facts.bytes).toBeLessThan(70 * KiB);
  expect((await readUntil(log, log.appended, upTo(sent - 5))).lines).toHaveLength(5);
});

test('an abandoned transaction does not keep segments, nor does it release any', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open({ segmentBytes: 500, retainAgeMs: 0 });
  send(log, transaction(1000n));
  const lost = transaction(
    5000n,
    Array.from({ length: 20 }, () => 'x'.repeat(300)),
  );
  begin(log, lost);
  for (const event of lost.events) append(log, event);
  log.rollback();
  send(log, transaction(5000n, ['whole again']));
  await log.sync();
  expect(await log.releaseBelow({ commitLsn: 999n, seq: 1 })).toBe(0);
  expect((await readUntil(log, 5040n)).lines).toEqual(
    [transaction(1000n), transaction(5000n, ['whole again'])].flatMap(linesOf),
  );
  await log.releaseBelow({ commitLsn: 1000n, seq: 1 });
  expect((await readUntil(log, 5040n)).lines).toEqual(linesOf(transaction(5000n, ['whole again'])));
  expect((await readUntil(log, 5040n, { commitLsn: 1000n, seq: 1 })).lines).toHaveLength(1);
});

test('which segments go is decided by position first, then by history, the limit before all', () => {
  const segment = (i: number, continues = false) => ({
    base: i * 100,
    createdMs: i * 1000,
    startsLog: i === 0,
    continues,
    previous: upTo(i),
    last: upTo(i),
    endLsn: 0n,
    startLsn: 0n,
    nextRelation: 1,
  });
  const input = {
    segments: [0, 1, 2, 3, 4].map((i) => segment(i)),
    end: 500,
    released: upTo(3),
    nowMs: 5000,
    retainAgeMs: 0,
    retainBytes: Number.POSITIVE_INFINITY,
    roomBytes: 100,
    limitBytes: 10_000,
  };
  expect(segmentsToRemove(input)).toBe(3);
  expect(segmentsToRemove({ ...input, released: { commitLsn: 3000n, seq: 0 } })).toBe(2);
  expect(segmentsToRemove({ ...input, released: upTo(99) })).toBe(4);
  expect(segmentsToRemove({ ...input, retainAgeMs: 3500 })).toBe(1);
  expect(segmentsToRemove({ ...input, retainAgeMs: Number.POSITIVE_INFINITY })).toBe(0);
  expect(segmentsToRemove({ ...input, retainAgeMs: 1e9, retainBytes: 400 })).toBe(1);
  expect(segmentsToRemove({ ...input, retainAgeMs: 1e9, limitBytes: 400 })).toBe(2);
  const large = input.segments.map((_, i) => segment(i, i === 2 || i === 3));
  expect(segmentsToRemove({ ...input, segments: large })).toBe(1);
  expect(segmentsToRemove({ ...input, segments: large, released: upTo(4) })).toBe(4);
});
