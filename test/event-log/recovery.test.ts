import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import type { EventLog } from '../../src/event-log/contract.ts';
import type { OpenEventLogOptions } from '../../src/event-log/open-event-log.ts';
import { SEGMENT_HEADER_BYTES } from '../../src/event-log/segment-header.ts';
import {
  append,
  begin,
  KiB,
  linesOf,
  MiB,
  readUntil,
  type SentTransaction,
  send,
  TestDirectory,
  table,
  transaction,
} from './log-fixture.ts';
import { errno, SimulatedDisk } from './simulated-disk.ts';

/** A log on a simulated disk whose transactions were synced one by one: each has a block of its own. */
class RecordedLog implements AsyncDisposable {
  readonly disk: SimulatedDisk;
  readonly sent: readonly SentTransaction[];
  /** Size of the last segment when the transaction of the same index had been synced. */
  readonly ends: readonly number[];
  readonly segment: string;
  readonly #directory: TestDirectory;

  private constructor(
    directory: TestDirectory,
    recorded: Pick<RecordedLog, 'disk' | 'sent' | 'ends' | 'segment'>,
  ) {
    this.#directory = directory;
    this.disk = recorded.disk;
    this.sent = recorded.sent;
    this.ends = recorded.ends;
    this.segment = recorded.segment;
  }

  static async make(count: number, end: 'killed' | 'closed' = 'killed'): Promise<RecordedLog> {
    const directory = await TestDirectory.make();
    const live = new SimulatedDisk();
    const log = await directory.open({ fileSystem: live });
    const sent = Array.from({ length: count }, (_, i) =>
      transaction(BigInt(1000 * (i + 1)), [`first of ${i}`, `second of ${i}`]),
    );
    const segment = (): string => live.paths.findLast((path) => path.endsWith('.segment')) ?? '';
    const ends: number[] = [];
    for (const one of sent) {
      send(log, one);
      await log.sync();
      ends.push(live.bytesOf(segment()).length);
    }
    const path = segment();
    const disk = end === 'killed' ? live.kill() : live;
    await log.close();
    return new RecordedLog(directory, { disk: disk.clone(), sent, ends, segment: path });
  }

  /** Opens a copy of the log whose last segment has other content. */
  async reopen(content: Buffer): Promise<EventLog> {
    const disk = this.disk.clone();
    disk.replace(this.segment, content);
    return this.open(disk);
  }

  open(disk: SimulatedDisk, options: Partial<OpenEventLogOptions> = {}): Promise<EventLog> {
    return this.#directory.open({ slabBytes: 4 * KiB, readBytes: 4 * KiB, ...options, fileSystem: disk });
  }

  get content(): Buffer {
    return this.disk.bytesOf(this.segment);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#directory[Symbol.asyncDispose]();
  }
}

/** What is left reads as it was written, and the log goes on. */
async function expectToHold(log: EventLog, sent: readonly SentTransaction[]): Promise<void> {
  const next = transaction(900_000n);
  expect(log.facts.endLsn).toBe(sent.at(-1)?.endLsn ?? 0n);
  send(log, next);
  await log.sync();
  const { lines } = await readUntil(log, next.endLsn);
  expect(lines).toEqual([...sent, next].flatMap(linesOf));
}

test('a segment cut anywhere in its last frames keeps every transaction before the cut', async () => {
  await using recorded = await RecordedLog.make(4);
  const { content, ends, sent } = recorded;
  for (let cut = ends[0] as number; cut <= content.length; cut++) {
    const log = await recorded.reopen(content.subarray(0, cut));
    await expectToHold(log, sent.slice(0, ends.filter((end) => end <= cut).length));
    await log.close();
  }
});

test('a segment cut before its first transaction is an empty log', async () => {
  await using recorded = await RecordedLog.make(1);
  for (const cut of [SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES + 1, SEGMENT_HEADER_BYTES + 40]) {
    const log = await recorded.reopen(recorded.content.subarray(0, cut));
    await expectToHold(log, []);
    await log.close();
  }
});

test('a flipped bit in the last block costs that block alone, in a block that was on disk before it is damage', async () => {
  await using recorded = await RecordedLog.make(3);
  const { content, ends, sent, segment } = recorded;
  const last = ends.at(-2) as number;
  for (let at = ends[0] as number; at < content.length; at++) {
    const damaged = Buffer.from(content);
    damaged[at] = (content[at] as number) ^ (1 << (at % 8));
    const opening = recorded.reopen(damaged);
    if (at >= last) {
      const log = await opening;
      await expectToHold(log, sent.slice(0, 2));
      await log.close();
    } else {
      await expect(opening).rejects.toMatchObject({
        code: 'E_LOG_CORRUPT',
        message: expect.stringContaining(`${segment} at byte ${ends[0]}:`),
      });
    }
  }
});

test('whole blocks behind a torn one of the same group prove nothing', async () => {
  await using directory = await TestDirectory.make();
  const disk = new SimulatedDisk();
  const log = await directory.open({ fileSystem: disk, blockBytes: 200 });
  const sent = [1000n, 2000n, 3000n, 4000n].map((lsn) => transaction(lsn));
  send(log, sent[0] as SentTransaction);
  await log.sync();
  const path = disk.paths.find((name) => name.endsWith('.segment')) as string;
  const torn = disk.bytesOf(path).length;
  for (const one of sent.slice(1)) send(log, one);
  await log.sync();
  const killed = disk.kill();
  await log.close();

  const content = killed.bytesOf(path);
  content.fill(0, torn, torn + 60);
  killed.replace(path, content);
  await expectToHold(await directory.open({ fileSystem: killed }), sent.slice(0, 1));
});

test('a log that was closed has no torn end: whatever is missing is damage', async () => {
  await using recorded = await RecordedLog.make(2, 'closed');
  const { content, ends, segment } = recorded;
  const damaged = Buffer.from(content);
  damaged[content.length - 1] = ~(content.at(-1) as number);
  await expect(recorded.reopen(damaged)).rejects.toMatchObject({
    code: 'E_LOG_CORRUPT',
    message: expect.stringContaining(`${segment} at byte ${ends[0]}:`),
  });
  await expect(recorded.reopen(content.subarray(0, ends[0]))).rejects.toMatchObject({
    code: 'E_LOG_CORRUPT',
  });

  const disk = recorded.disk.clone();
  disk.remove(segment);
  await expect(recorded.open(disk)).rejects.toMatchObject({ code: 'E_LOG_CORRUPT' });
  await expectToHold(await recorded.reopen(content), recorded.sent);
});

test('every bit of a segment header is watched over', async () => {
  await using recorded = await RecordedLog.make(1);
  for (let at = 0; at < SEGMENT_HEADER_BYTES; at++) {
    const damaged = recorded.content;
    damaged[at] = (damaged[at] as number) ^ (1 << (at % 8));
    await expect(recorded.reopen(damaged)).rejects.toMatchObject({
      code: 'E_LOG_CORRUPT',
      message: expect.stringContaining(`${recorded.segment} at byte 0:`),
    });
  }
});

test('a process that dies while it makes a segment leaves a log that goes on', async () => {
  await using directory = await TestDirectory.make();
  let disk = new SimulatedDisk();
  const sent: SentTransaction[] = [];
  // Dies at each of the steps that a new segment takes: opening, writing, syncing, renaming, syncing the directory.
  for (let step = 0; step < 12; step++) {
    const log = await directory.open({ fileSystem: disk, segmentBytes: 200 });
    expect((await readUntil(log, log.appended)).lines).toEqual(sent.flatMap(linesOf));
    const one = transaction(BigInt(1000 * (step + 1)));
    let calls = 0;
    const dies = (): void => {
      if (++calls > step) throw errno('EIO');
    };
    disk.faults.onWrite = dies;
    disk.faults.onSync = dies;
    send(log, one);
    await log.sync().catch(() => {});
    const { synced } = log;
    disk = disk.cutPower();
    await log.close();

    const reopened = await directory.open({ fileSystem: disk, segmentBytes: 200 });
    expect(reopened.facts.endLsn >= synced).toBe(true);
    const held = reopened.facts.endLsn === one.endLsn ? [...sent, one] : sent;
    expect((await readUntil(reopened, reopened.appended)).lines).toEqual(held.flatMap(linesOf));
    send(reopened, one);
    await reopened.sync();
    await reopened.close();
    sent.push(one);
  }
  expect(disk.paths.map((path) => basename(path)).filter((name) => name.endsWith('.new'))).toEqual([]);
});

test('missing and cut segments in the middle are named', async () => {
  await using directory = await TestDirectory.make();
  const disk = new SimulatedDisk();
  const log = await directory.open({ fileSystem: disk, segmentBytes: 200 });
  for (const lsn of [1000n, 2000n, 3000n, 4000n]) send(log, transaction(lsn));
  await log.sync();
  await log.close();
  const [first, second] = disk.paths.filter((path) => path.endsWith('.segment')) as [string, string];

  const gap = disk.clone();
  gap.remove(second);
  await expect(directory.open({ fileSystem: gap })).rejects.toMatchObject({
    code: 'E_LOG_CORRUPT',
    message: expect.stringContaining(first),
  });
  const cut = disk.clone();
  cut.replace(second, disk.bytesOf(second).subarray(0, -1));
  await expect(directory.open({ fileSystem: cut })).rejects.toMatchObject({
    code: 'E_LOG_CORRUPT',
    message: expect.stringContaining(second),
  });
});

test('damage in an older segment stops the reader that comes to it, naming file and byte', async () => {
  await using directory = await TestDirectory.make();
  const disk = new SimulatedDisk();
  const options = { fileSystem: disk, segmentBytes: 200, tailBytes: 1, slabBytes: 300 };
  const log = await directory.open(options);
  const sent = [1000n, 2000n, 3000n].map((lsn) => transaction(lsn));
  for (const one of sent) send(log, one);
  await log.close();
  const second = disk.paths.filter((path) => path.endsWith('.segment'))[1] as string;
  const damaged = disk.bytesOf(second);
  damaged[SEGMENT_HEADER_BYTES + 50] = ~(damaged[SEGMENT_HEADER_BYTES + 50] as number);
  disk.replace(second, damaged);

  const reopened = await directory.open(options);
  const limit = { maxEvents: 1, maxBytes: MiB, maxTransactionBytes: MiB, lingerMs: 0 };
  const reader = reopened.read(undefined, 'search');
  const { signal } = new AbortController();
  expect((await reader.next(limit, signal)).count).toBe(1);
  await expect(reader.next(limit, signal)).rejects.toMatchObject({
    code: 'E_LOG_CORRUPT',
    message: expect.stringContaining(`${second} at byte ${SEGMENT_HEADER_BYTES}:`),
  });
  expect((await readUntil(reopened, 3040n, { commitLsn: 2000n, seq: 1 })).lines).toEqual(
    linesOf(sent[2] as SentTransaction),
  );
});

test('a transaction that a crash left open is stepped over when it comes again', async () => {
  await using directory = await TestDirectory.make();
  let disk = new SimulatedDisk();
  // It spans several segments, so that the last one holds nothing else.
  const sent = transaction(
    2000n,
    Array.from({ length: 40 }, (_, i) => `row ${i} ${'x'.repeat(100)}`),
  );
  const before = transaction(1000n);
  for (let crash = 0; crash < 3; crash++) {
    const log = await directory.open({ fileSystem: disk, segmentBytes: 512, blockBytes: 256 });
    if (crash === 0) send(log, before);
    begin(log, sent);
    for (const event of sent.events) append(log, event);
    await log.sync();
    disk = disk.kill();
    await log.close();
  }
  const log = await directory.open({ fileSystem: disk, segmentBytes: 512 });
  expect(log.facts).toMatchObject({ endLsn: before.endLsn, last: { commitLsn: 1000n, seq: 1 } });
  send(log, sent);
  expect((await readUntil(log, sent.endLsn)).lines).toEqual([before, sent].flatMap(linesOf));
  const middle = { commitLsn: 2000n, seq: 17 };
  expect((await readUntil(log, sent.endLsn, middle)).lines).toEqual(linesOf(sent).slice(17));
});

test('what a failed sync may have lost is written again by the next process', async () => {
  await using directory = await TestDirectory.make();
  const disk = new SimulatedDisk();
  const log = await directory.open({ fileSystem: disk });
  const sent = [1000n, 2000n].map((lsn) => transaction(lsn));
  send(log, sent[0] as SentTransaction);
  await log.sync();
  disk.faults.onSync = () => {
    throw errno('EIO');
  };
  send(log, sent[1] as SentTransaction);
  await expect(log.sync()).rejects.toMatchObject({ code: 'E_LOG_IO', retriable: false });
  expect(log.synced).toBe(1040n);
  // Trying again would find no dirty page, and call that synced.
  disk.faults.onSync = undefined;
  await expect(log.sync()).rejects.toMatchObject({ code: 'E_LOG_IO' });
  await expect(log.ready()).rejects.toMatchObject({ code: 'E_LOG_IO' });
  expect(log.synced).toBe(1040n);

  const afterKill = disk.kill();
  await log.close();
  const reopened = await directory.open({ fileSystem: afterKill });
  expect(reopened.synced).toBe(2040n);
  const afterPowerCut = afterKill.cutPower();
  await reopened.close();
  await expectToHold(await directory.open({ fileSystem: afterPowerCut }), sent);
});

test('a log that begins anew is the old one or the new one, wherever the process dies', async () => {
  await using directory = await TestDirectory.make();
  for (let step = 0; step < 8; step++) {
    const disk = new SimulatedDisk();
    const log = await directory.open({ fileSystem: disk, segmentBytes: 200 });
    const sent = [1000n, 2000n, 3000n].map((lsn) => transaction(lsn));
    for (const one of sent) send(log, one);
    await log.sync();
    let calls = 0;
    const dies = (): void => {
      if (++calls > step) throw errno('EIO');
    };
    disk.faults.onWrite = dies;
    disk.faults.onSync = dies;
    const restarted = await log.restartAt(50_000n).then(
      () => true,
      () => false,
    );
    const left = disk.cutPower();
    await log.close();
    const reopened = await directory.open({ fileSystem: left, segmentBytes: 200 });
    const { facts } = reopened;
    if (restarted)
      expect(facts).toMatchObject({ startLsn: 50_000n, endLsn: 50_000n, segments: 1, first: undefined });
    if (facts.endLsn === 50_000n) {
      expect(facts.last).toEqual({ commitLsn: 0n, seq: 0 });
      await expectToHold(reopened, [{ ...transaction(49_000n, []), endLsn: 50_000n }]);
    } else {
      await expectToHold(reopened, sent);
    }
    await reopened.close();
  }
});

test('the state file is believed whole or not at all', async () => {
  await using recorded = await RecordedLog.make(1);
  const path = recorded.disk.paths.find((name) => name.endsWith('state.json')) as string;
  const whole = recorded.disk.bytesOf(path);
  const openWith = (content: Buffer): Promise<EventLog> => {
    const disk = recorded.disk.clone();
    disk.replace(path, content);
    return recorded.open(disk);
  };
  for (let at = 0; at < whole.length; at++) {
    const damaged = Buffer.from(whole);
    damaged[at] = (whole[at] as number) ^ (1 << (at % 8));
    await expect(openWith(damaged)).rejects.toMatchObject({
      code: 'E_STATE',
      message: expect.stringContaining(path),
    });
  }
  for (const cut of [0, 1, whole.length - 2]) {
    await expect(openWith(whole.subarray(0, cut))).rejects.toMatchObject({ code: 'E_STATE' });
  }
  await expect(
    openWith(Buffer.from(whole.toString().replace('"version": 1', '"version": 2'))),
  ).rejects.toMatchObject({
    code: 'E_STATE',
    message: expect.stringContaining('version 2'),
  });
  const missing = recorded.disk.clone();
  missing.remove(path);
  await expect(recorded.open(missing)).rejects.toMatchObject({
    code: 'E_STATE',
    message: expect.stringContaining('missing'),
  });
});

test('identity and relation numbers outlive the process', async () => {
  await using directory = await TestDirectory.make();
  const log = await directory.open();
  const identity = { ...log.facts.identity, generation: 4, slotCreated: true } as NonNullable<
    EventLog['facts']['identity']
  >;
  await log.setIdentity(identity);
  send(log, transaction(1000n));
  const { version } = log.relation(table('orders'));
  await log.close();
  const reopened = await directory.open();
  expect(reopened.facts.identity).toEqual(identity);
  expect(reopened.source).toBe('7000000000000000001/5#4');
  expect(reopened.relation(table('orders')).version).toBe(version);
  expect(reopened.relation(table('customers')).version).toBeGreaterThan(version);
});

test('the last segment may be large', async () => {
  await using directory = await TestDirectory.make();
  const disk = new SimulatedDisk(() => 0.9);
  const log = await directory.open({ fileSystem: disk });
  const sent = Array.from({ length: 20 }, (_, i) =>
    transaction(BigInt(1000 * (i + 1)), ['y'.repeat(200 * KiB)]),
  );
  for (const one of sent) {
    await log.ready();
    send(log, one);
  }
  await log.sync();
  const killed = disk.kill();
  await log.close();
  const path = killed.paths.find((name) => name.endsWith('.segment')) as string;
  killed.replace(path, killed.bytesOf(path).subarray(0, -100));
  await expectToHold(await directory.open({ fileSystem: killed }), sent.slice(0, -1));
  expect(join(directory.path, basename(path))).toBe(path);
});
