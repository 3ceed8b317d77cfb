import { expect, test } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import type { EventLog } from '../../src/event-log/contract.ts';
import {
  append,
  begin,
  KiB,
  linesOf,
  MiB,
  readUntil,
  send,
  TestDirectory,
  table,
  transaction,
} from './log-fixture.ts';
import { errno, SimulatedDisk } from './simulated-disk.ts';

/** Waits are over at once: retries of a full disk come without the pause between them. */
const hastyClock: Clock = {
  ...systemClock,
  sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 2), signal),
};

async function settled(promise: Promise<unknown> | undefined): Promise<boolean> {
  let done = false;
  void promise?.then(
    () => {
      done = true;
    },
    () => {
      done = true;
    },
  );
  for (let turn = 0; turn < 30; turn++) await new Promise(setImmediate);
  return done;
}

/** A disk whose syncs wait until they are let go. */
function stalling(disk: SimulatedDisk): { release: () => void; syncs: number } {
  const datasyncs: (() => void)[] = [];
  const gate = {
    syncs: 0,
    stalled: true,
    release: () => {
      gate.stalled = false;
      for (const go of datasyncs.splice(0)) go();
    },
  };
  const open = disk.open.bind(disk);
  disk.open = async (path, mode) => {
    const file = await open(path, mode);
    const datasync = file.datasync.bind(file);
    file.datasync = async () => {
      if (path.endsWith('.segment') || path.endsWith('.segment.new')) {
        gate.syncs += 1;
        if (gate.stalled) await new Promise<void>((resolve) => datasyncs.push(resolve));
      }
      await datasync();
    };
    return file;
  };
  return gate;
}

test('synced follows the disk, appended does not wait for it', async () => {
  await using directory = await TestDirectory.make();
  const disk = new SimulatedDisk();
  const gate = stalling(disk);
  const log = await directory.open({ fileSystem: disk });
  const told: bigint[] = [];
  log.onSynced(() => told.push(log.synced));
  send(log, transaction(1000n));
  expect([log.appended, log.synced]).toEqual([1040n, 0n]);
  // Readers do not wait for the disk either.
  expect((await readUntil(log, 1040n)).lines).toEqual(linesOf(transaction(1000n)));
  expect(log.synced).toBe(0n);
  expect(log.facts.endLsn).toBe(0n);
  for (const lsn of [2000n, 3000n, 4000n]) send(log, transaction(lsn));
  const synced = log.sync();
  expect(await settled(synced)).toBe(false);
  gate.release();
  await synced;
  expect(log.synced).toBe(4040n);
  expect(told.at(-1)).toBe(4040n);
  // The segment's header, the first transaction, and one group for all that came meanwhile.
  expect(gate.syncs).toBe(3);
});

test('a group waits for more no longer than the interval, and a call for sync not at all', async () => {
  await using directory = await TestDirectory.make();
  const disk = new SimulatedDisk();
  let intervalOver: (() => void) | undefined;
  const clock: Clock = {
    ...systemClock,
    sleep: (ms, signal) =>
      ms === 77 ? new Promise((resolve) => (intervalOver = resolve)) : systemClock.sleep(ms, signal),
  };
  const log = await directory.open({ fileSystem: disk, clock, syncIntervalMs: 77 });
  for (const lsn of [1000n, 2000n]) send(log, transaction(lsn));
  await settled(undefined);
  expect(log.synced).toBe(0n);
  intervalOver?.();
  await expect.poll(() => log.synced).toBe(2040n);
  send(log, transaction(3000n));
  await log.sync();
  expect(log.synced).toBe(3040n);
  // A large group does not wait either.
  send(log, transaction(4000n, ['x'.repeat(5 * MiB)]));
  await expect.poll(() => log.synced).toBe(4040n);
});

test('a writer that is ahead of the disk waits, in the middle of a transaction too', async () => {
  await using directory = await TestDirectory.make();
  const disk = new SimulatedDisk();
  const gate = stalling(disk);
  const log = await directory.open({ fileSystem: disk, maxUnsyncedBytes: 64 * KiB, slabBytes: 16 * KiB });
  const sent = transaction(
    1000n,
    Array.from({ length: 200 }, () => 'x'.repeat(1000)),
  );
  begin(log, sent);
  let appended = 0;
  while (log.ready() === undefined) append(log, sent.events[appended++] as (typeof sent.events)[number]);
  expect(appended).toBeGreaterThan(55);
  expect(appended).toBeLessThan(70);
  const waiting = log.ready();
  expect(await settled(waiting)).toBe(false);
  gate.release();
  await waiting;
  for (const event of sent.events.slice(appended)) {
    await log.ready();
    append(log, event);
  }
  log.commit(sent.endLsn);
  expect((await readUntil(log, sent.endLsn)).lines).toEqual(linesOf(sent));
});

test('a full disk is said, memory stays bounded, and writing goes on when there is space again', async () => {
  await using directory = await TestDirectory.make();
  const disk = new SimulatedDisk();
  const options = { fileSystem: disk, clock: hastyClock, segmentBytes: 8 * KiB, maxUnsyncedBytes: 64 * KiB };
  const log = await directory.open(options);
  const sent = [transaction(1000n)];
  send(log, sent[0] as (typeof sent)[number]);
  await log.sync();
  let tries = 0;
  disk.faults.onWrite = () => {
    tries += 1;
    throw errno('ENOSPC');
  };
  for (let i = 2; log.failed === undefined; i++) {
    const one = transaction(BigInt(1000 * i), ['x'.repeat(3000)]);
    send(log, one);
    sent.push(one);
    await new Promise(setImmediate);
  }
  expect(log.failed).toMatchObject({ code: 'E_LOG_IO', retriable: true });
  await expect(log.ready()).rejects.toMatchObject({ code: 'E_LOG_IO', retriable: true, exitCode: 7 });
  await expect(log.sync()).rejects.toMatchObject({ code: 'E_LOG_IO', retriable: true });
  expect(log.synced).toBe(1040n);
  await expect.poll(() => tries).toBeGreaterThan(4);
  // What is in memory can be read meanwhile.
  expect((await readUntil(log, log.appended)).lines).toEqual(sent.flatMap(linesOf));

  disk.faults.onWrite = undefined;
  await expect.poll(() => log.failed).toBeUndefined();
  await log.ready();
  for (let i = 0; i < 10; i++) {
    const one = transaction(900_000n + BigInt(1000 * i), ['x'.repeat(3000)]);
    send(log, one);
    sent.push(one);
  }
  await log.sync();
  await log.close();
  const reopened = await directory.open(options);
  expect((await readUntil(reopened, reopened.appended)).lines).toEqual(sent.flatMap(linesOf));
});

test.each([
  ['a write', 'onWrite', 'EIO'],
  ['a sync', 'onSync', 'EIO'],
  ['a sync on a full disk', 'onSync', 'ENOSPC'],
] as const)('%s that fails for good ends writing in this process', async (_, fault, code) => {
  await using directory = await TestDirectory.make();
  const disk = new SimulatedDisk();
  const log = await directory.open({ fileSystem: disk, clock: hastyClock });
  send(log, transaction(1000n));
  await log.sync();
  disk.faults[fault] = () => {
    throw errno(code);
  };
  send(log, transaction(2000n));
  await expect(log.sync()).rejects.toMatchObject({ code: 'E_LOG_IO', retriable: false });
  disk.faults[fault] = undefined;
  send(log, transaction(3000n));
  await expect(log.ready()).rejects.toMatchObject({ code: 'E_LOG_IO' });
  await settled(undefined);
  expect(log.synced).toBe(1040n);
  const left = disk.kill();
  await log.close();
  const reopened = await directory.open({ fileSystem: left });
  expect(reopened.facts.endLsn >= 1040n).toBe(true);
});

test('a file that cannot be read is an I/O error of the reader alone', async () => {
  await using directory = await TestDirectory.make();
  const disk = new SimulatedDisk();
  const first = await directory.open({ fileSystem: disk });
  send(first, transaction(1000n));
  await first.close();
  const log = await directory.open({ fileSystem: disk });
  disk.faults.onRead = () => {
    throw errno('EIO');
  };
  await expect(readUntil(log, 1040n)).rejects.toMatchObject({ code: 'E_LOG_IO' });
  expect(log.failed).toBeUndefined();
  disk.faults.onRead = undefined;
  expect((await readUntil(log, 1040n)).lines).toEqual(linesOf(transaction(1000n)));
});

test('calls out of order are defects of the caller', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open();
  const inside =
    (run: (log: EventLog) => void): (() => void) =>
    () =>
      run(log);
  expect(inside((l) => append(l, transaction(1n).events[0] as never))).toThrow('outside a transaction');
  expect(inside((l) => l.commit(5n))).toThrow('outside a transaction');
  log.rollback();
  begin(log, transaction(1000n));
  expect(inside((l) => begin(l, transaction(2000n)))).toThrow('inside a transaction');
  expect(inside((l) => l.progress(2000n))).toThrow('inside a transaction');
  await expect(log.restartAt(2000n)).rejects.toThrow('inside a transaction');
  log.rollback();
  expect(log.appended).toBe(0n);
});

test('equal definitions share a number', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open();
  const orders = log.relation(table('orders'));
  const { columns, ...rest } = table('orders');
  expect(log.relation({ columns: columns.map((column) => ({ ...column })), ...rest })).toBe(orders);
  const renamed = log.relation({ ...rest, columns: columns.map((column) => ({ ...column, name: 'other' })) });
  expect(renamed.version).not.toBe(orders.version);
});

test('a log that begins anew holds nothing of the old one and keeps its identity', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open({ segmentBytes: 300 });
  const reader = log.read(undefined, 'old');
  const one = { maxEvents: 1, maxBytes: 1, maxTransactionBytes: MiB, lingerMs: 0 };
  for (const lsn of [1000n, 2000n, 3000n]) send(log, transaction(lsn));
  (await reader.next(one, AbortSignal.timeout(5000))).release();
  await log.restartAt(500n);
  expect(log.facts).toMatchObject({
    startLsn: 500n,
    endLsn: 500n,
    first: undefined,
    last: { commitLsn: 0n, seq: 0 },
    segments: 1,
    identity: { slot: 'shop' },
  });
  expect([log.appended, log.synced]).toEqual([500n, 500n]);
  await expect(
    reader.next(
      { maxEvents: 1, maxBytes: 1, maxTransactionBytes: MiB, lingerMs: 0 },
      AbortSignal.timeout(1000),
    ),
  ).rejects.toMatchObject({ code: 'E_GAP' });
  send(log, transaction(800n));
  expect((await readUntil(log, 840n)).lines).toEqual(linesOf(transaction(800n)));
  await log.close();
  const reopened = await directory.open();
  expect(reopened.facts).toMatchObject({ startLsn: 500n, endLsn: 840n, first: { commitLsn: 800n, seq: 1 } });
  expect((await readUntil(reopened, 840n)).lines).toEqual(linesOf(transaction(800n)));
});
