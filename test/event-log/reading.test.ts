import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { EventLog, LogBatch, LogReader, ReadLimit } from '../../src/event-log/contract.ts';
import {
  append,
  begin,
  EVERYTHING,
  KiB,
  lineOf,
  linesOf,
  MiB,
  messageBody,
  messageLine,
  readUntil,
  type SentTransaction,
  send,
  TestDirectory,
  transaction,
} from './log-fixture.ts';

const SMALL: ReadLimit = { maxEvents: 10, maxBytes: 4 * KiB, maxTransactionBytes: 16 * KiB, lingerMs: 0 };
const { signal: never } = new AbortController();

function rows(count: number, bytes: number): string[] {
  return Array.from({ length: count }, (_, i) => `${i}:`.padEnd(bytes, 'x'));
}

function linesIn(batch: LogBatch): string[] {
  return Array.from({ length: batch.count }, (_, i) => lineOf(batch.event(i)));
}

/** Batches until the checkpoint covers `endLsn`; they are kept, not released. */
async function batchesUntil(reader: LogReader, endLsn: bigint, limit: ReadLimit): Promise<LogBatch[]> {
  const batches: LogBatch[] = [];
  do batches.push(await reader.next(limit, AbortSignal.timeout(10_000)));
  while ((batches.at(-1) as LogBatch).to.endLsn < endLsn);
  return batches;
}

/** Where the bytes come from: the tail, or the disk after a restart. */
async function bothWays(
  log: EventLog,
  directory: TestDirectory,
  look: (log: EventLog) => Promise<void>,
): Promise<void> {
  await look(log);
  await log.close();
  const reopened = await directory.open({ readBytes: 3 * KiB });
  await look(reopened);
  await reopened.close();
}

test('nothing of a transaction is visible before its commit', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open();
  const reader = log.read(undefined, 'search');
  const sent = transaction(1000n, rows(3, 10));
  let given = false;
  const next = reader.next(SMALL, never).finally(() => {
    given = true;
  });
  begin(log, sent);
  for (const event of sent.events) append(log, event);
  await log.sync();
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  expect(given).toBe(false);
  log.commit(sent.endLsn);
  expect(linesIn(await next)).toEqual(linesOf(sent));
});

test('batches hold whole transactions up to the limits, and a larger one alone', async () => {
  await using directory = await TestDirectory.make();
  const sent = [4, 4, 4, 25, 1, 9, 1].map((count, i) => transaction(BigInt(1000 * (i + 1)), rows(count, 20)));
  const log = await directory.open();
  for (const one of sent) send(log, one);
  await bothWays(log, directory, async (opened) => {
    const batches = await batchesUntil(opened.read(undefined, 'search'), 7040n, SMALL);
    expect(batches.map((batch) => batch.count)).toEqual([8, 4, 25, 10, 1]);
    expect(batches.every((batch) => batch.wholeTransactions)).toBe(true);
    expect(batches.flatMap(linesIn)).toEqual(sent.flatMap(linesOf));
    expect(batches[1]?.to).toEqual({
      position: { commitLsn: 3000n, seq: 4 },
      endLsn: 3040n,
      source: '7000000000000000001/5#1',
    });
    expect(batches[1]?.commitTimeUs).toBe(sent[2]?.commitTimeUs);

    // The first one describes the table, too.
    const byBytes = await batchesUntil(opened.read(undefined, 'search'), 7040n, {
      ...SMALL,
      maxEvents: 1000,
      maxBytes: 600,
    });
    expect(byBytes.map((batch) => batch.count)).toEqual([4, 8, 25, 10, 1]);
    for (const batch of byBytes) if (batch.count !== 25) expect(batch.bytes).toBeLessThanOrEqual(600);
  });
});

test('a transaction above the limit is delivered in pieces that know its size from the first on', async () => {
  await using directory = await TestDirectory.make();
  const sent = [
    transaction(1000n, rows(2, 20)),
    transaction(2000n, rows(95, 300)),
    transaction(3000n, rows(2, 20)),
  ] as const;
  const log = await directory.open({ segmentBytes: 4 * KiB });
  for (const one of sent) send(log, one);
  await bothWays(log, directory, async (opened) => {
    const batches = await batchesUntil(opened.read(undefined, 'search'), 3040n, SMALL);
    expect(batches.map((batch) => batch.count)).toEqual([2, 10, 10, 10, 10, 10, 10, 10, 10, 10, 5, 2]);
    expect(batches.flatMap(linesIn)).toEqual(sent.flatMap(linesOf));
    batches.slice(1, 10).forEach((piece, i) => {
      expect(piece.wholeTransactions).toBe(false);
      expect(piece.to).toMatchObject({ position: { commitLsn: 2000n, seq: 10 * (i + 1) }, endLsn: 1040n });
      expect(piece.commitTimeUs).toBe(sent[1].commitTimeUs);
    });
    expect(batches[10]).toMatchObject({ wholeTransactions: true, to: { endLsn: 2040n } });

    // From inside, as after a restart of the sink.
    const rest = await batchesUntil(opened.read({ commitLsn: 2000n, seq: 41 }, 'search'), 3040n, SMALL);
    expect(rest.flatMap(linesIn)).toEqual([...linesOf(sent[1]).slice(41), ...linesOf(sent[2])]);
    expect(rest[0]?.to.endLsn).toBe(1040n);
  });
});

test('progress alone moves the end, not the position', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open();
  const reader = log.read(undefined, 'search');
  send(log, transaction(1000n));
  (await reader.next(SMALL, never)).release();
  log.progress(5000n);
  log.progress(4000n);
  const batch = await reader.next(SMALL, never);
  expect(batch).toMatchObject({
    count: 0,
    wholeTransactions: true,
    commitTimeUs: 0n,
    to: { position: { commitLsn: 1000n, seq: 1 }, endLsn: 5000n },
  });
  // A transaction without events is progress too.
  send(log, transaction(6000n, []));
  const empty = await reader.next(SMALL, never);
  expect(empty).toMatchObject({ count: 0, to: { position: { commitLsn: 1000n, seq: 1 }, endLsn: 6040n } });
  expect(log.facts.last).toEqual({ commitLsn: 0n, seq: 0 });
  await log.sync();
  expect(log.facts.last).toEqual({ commitLsn: 1000n, seq: 1 });
  expect(log.facts.endLsn).toBe(6040n);
});

test('a message outside transactions is an event of its own, once', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open();
  send(log, transaction(1000n));
  log.message(2000n, messageBody('hello'));
  log.message(2000n, messageBody('hello'));
  // The record behind a message may be the commit record of the next transaction.
  send(log, transaction(2000n));
  log.message(1500n, messageBody('sent again'));
  expect(log.replayed).toBe(2);
  await bothWays(log, directory, async (opened) => {
    const expected = [
      ...linesOf(transaction(1000n)),
      messageLine(2000n, 'hello'),
      ...linesOf(transaction(2000n)),
    ];
    expect((await readUntil(opened, 2040n)).lines).toEqual(expected);
    expect((await readUntil(opened, 2040n, { commitLsn: 2000n, seq: 0 })).lines).toEqual(expected.slice(2));
  });
  expect(() => {
    begin(log, transaction(9000n));
    log.message(8000n, messageBody('inside'));
  }).toThrow('inside a transaction');
});

test('what is held already is not taken again', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open();
  const sent = [1000n, 2000n].map((lsn) => transaction(lsn));
  for (const one of [...sent, ...sent]) send(log, one);
  expect(log.replayed).toBe(2);
  expect((await readUntil(log, 2040n)).lines).toEqual(sent.flatMap(linesOf));
});

test('a reader beyond the end waits for what comes after its position', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open();
  const reader = log.read({ commitLsn: 2000n, seq: 2 }, 'search');
  const next = reader.next(SMALL, never);
  send(log, transaction(1000n));
  send(log, transaction(2000n, rows(3, 10)));
  expect(linesIn(await next)).toEqual(linesOf(transaction(2000n, rows(3, 10))).slice(2));
});

test('waiting costs no polling, ends with the signal, and can be begun again', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open();
  const reader = log.read(undefined, 'search');
  const waiting = new AbortController();
  const next = reader.next(SMALL, waiting.signal);
  await expect(reader.next(SMALL, never)).rejects.toMatchObject({ code: 'E_INTERNAL' });
  waiting.abort(new Error('enough'));
  await expect(next).rejects.toThrow('enough');
  await expect(reader.next(SMALL, AbortSignal.abort(new Error('never')))).rejects.toThrow('never');
  send(log, transaction(1000n));
  const { count } = await reader.next(SMALL, never);
  expect(count).toBe(1);
  const last = reader.next(SMALL, never);
  await reader.close();
  await expect(last).rejects.toMatchObject({ code: 'E_INTERNAL' });
});

test('a commit wakes a reader at whatever point of falling asleep it is', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open();
  const reader = log.read(undefined, 'search');
  for (let ticks = 0; ticks < 12; ticks++) {
    const next = reader.next(SMALL, AbortSignal.timeout(10_000));
    for (let i = 0; i < ticks; i++) await Promise.resolve();
    send(log, transaction(BigInt(1000 * (ticks + 1))));
    (await next).release();
  }
});

test('a batch lingers for more, within its limits and its time', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open();
  const reader = log.read(undefined, 'search');
  const patient = { ...SMALL, maxEvents: 3, lingerMs: 60_000 };
  send(log, transaction(1000n));
  const next = reader.next(patient, never);
  send(log, transaction(2000n));
  await delay(5);
  send(log, transaction(3000n));
  expect((await next).count).toBe(3);

  const aborted = new AbortController();
  send(log, transaction(4000n));
  const lost = reader.next(patient, aborted.signal);
  await delay(5);
  aborted.abort(new Error('stopped'));
  await expect(lost).rejects.toThrow('stopped');
  // What had been gathered is given to the next call.
  const short = await reader.next({ ...patient, lingerMs: 20 }, never);
  expect(linesIn(short)).toEqual(linesOf(transaction(4000n)));
});

test('a batch stays as it is while the log runs on, and is gone when it is released', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open({ tailBytes: 64 * KiB, slabBytes: 16 * KiB, maxUnsyncedBytes: 64 * KiB });
  const sent = transaction(1000n, rows(20, 100));
  send(log, sent);
  const reader = log.read(undefined, 'slow');
  const batch = await reader.next({ ...SMALL, maxEvents: 100 }, never);
  for (let i = 2; i < 400; i++) {
    await log.ready();
    send(log, transaction(BigInt(i * 1000), rows(10, 200)));
  }
  await log.sync();
  expect(linesIn(batch)).toEqual(linesOf(sent));
  expect(lineOf(batch.event(19))).toBe(linesOf(sent)[19]);
  expect(() => batch.event(20)).toThrow(RangeError);
  expect(() => batch.event(-1)).toThrow(RangeError);
  batch.release();
  batch.release();
  expect(() => batch.event(0)).toThrow('released');
  // It was far behind the tail; it goes on from the disk.
  const { count } = await reader.next(SMALL, never);
  expect(count).toBe(10);
});

test('a reader that has fallen behind and one that keeps up read the same', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open({
    tailBytes: 128 * KiB,
    slabBytes: 32 * KiB,
    segmentBytes: 256 * KiB,
    readBytes: 32 * KiB,
  });
  const count = 3000;
  const sent = Array.from({ length: count }, (_, i) =>
    transaction(BigInt(1000 * (i + 1)), rows((i % 7) + 1, i % 300)),
  );
  const end = BigInt(1000 * count) + 40n;
  const expected = sent.flatMap(linesOf);
  const slowLimit = { ...SMALL, maxEvents: 500, maxBytes: 64 * KiB };
  const keeping = readUntil(log, end, undefined, { ...SMALL, maxBytes: 100 * KiB, maxEvents: 1000 });
  const slow = readUntil(log, end, undefined, slowLimit);
  for (const [i, one] of sent.entries()) {
    await log.ready();
    send(log, one);
    if (i % 50 === 0) await new Promise(setImmediate);
  }
  expect((await keeping).lines).toEqual(expected);
  expect((await slow).lines).toEqual(expected);
  // And many at once, from anywhere.
  const starts = [0, 1, 999, 1500, 2998];
  const all = await Promise.all(
    starts.map((i) =>
      readUntil(log, end, { commitLsn: (sent[i] as SentTransaction).commitLsn, seq: 1 }, slowLimit),
    ),
  );
  all.forEach(({ lines }, k) => {
    const start = starts[k] as number;
    const skipped = sent.slice(0, start).reduce((sum, { events }) => sum + events.length, 1);
    expect(lines).toEqual(expected.slice(skipped));
  });
});

test('a row larger than every block and buffer', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open({
    slabBytes: 64 * KiB,
    tailBytes: 256 * KiB,
    segmentBytes: MiB,
    blockBytes: 16 * KiB,
  });
  const sent = [
    transaction(1000n, ['small', 'y'.repeat(20 * MiB), 'small again']),
    transaction(2000n, ['z'.repeat(5 * MiB)]),
    transaction(3000n),
  ];
  for (const one of sent) send(log, one);
  await log.sync();
  await bothWays(log, directory, async (opened) => {
    expect((await readUntil(opened, 3040n)).lines).toEqual(sent.flatMap(linesOf));
    expect((await readUntil(opened, 3040n, { commitLsn: 1000n, seq: 1 }, SMALL)).lines).toEqual(
      sent.flatMap(linesOf).slice(1),
    );
  });
});

test('relations keep one object per version, also from disk', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open({ segmentBytes: 300 });
  const versions = async (opened: EventLog): Promise<number[]> => {
    const batch = await opened.read(undefined, 'search').next(EVERYTHING, never);
    const relations = Array.from({ length: batch.count }, (_, i) => batch.event(i).relation);
    for (const relation of relations)
      expect(relations.find((other) => other.version === relation.version)).toBe(relation);
    expect(relations.map((relation) => relation.table)).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
    expect(relations[0]?.columns[0]).toMatchObject({ name: 'payload', type: { name: 'text' } });
    return relations.map((relation) => relation.version);
  };
  for (const lsn of [1000n, 2000n, 3000n]) {
    send(log, {
      ...transaction(lsn),
      events: ['a', 'b'].map((table) => ({ table, kind: 'insert', payload: 'p'.repeat(120), walLsn: lsn })),
    });
  }
  expect(log.facts.segments).toBeGreaterThan(1);
  const before = await versions(log);
  await log.close();
  expect(await versions(await directory.open())).toEqual(before);
});
