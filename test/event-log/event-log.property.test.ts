import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EventKind, EventLog, LogBatch, LogReader, ReadLimit } from '../../src/event-log/contract.ts';
import type { OpenEventLogOptions } from '../../src/event-log/open-event-log.ts';
import type { Lsn } from '../../src/events/lsn.ts';
import { BEFORE_ALL, comparePositions, type Position } from '../../src/events/position.ts';
import {
  append,
  begin,
  lineOf,
  linesOf,
  MiB,
  messageBody,
  messageLine,
  payloadOf,
  type SentTransaction,
  TestDirectory,
} from './log-fixture.ts';
import { type Random, SimulatedDisk } from './simulated-disk.ts';

/** What the server's WAL holds for us, in order: the truth that every reader has to see. */
type WalEntry =
  | { readonly kind: 'transaction'; readonly sent: SentTransaction }
  | { readonly kind: 'message'; readonly lsn: Lsn; readonly content: string }
  | { readonly kind: 'keepalive'; readonly lsn: Lsn };

type Command =
  | {
      readonly kind: 'transaction';
      readonly sizes: readonly number[];
      /** How many of its events have arrived when the connection is lost, once for each number. */
      readonly lostAfter: readonly number[];
    }
  | { readonly kind: 'message' | 'keepalive' | 'turn' | 'sync' | 'release' }
  | { readonly kind: 'read'; readonly reader: number; readonly limit: ReadLimit; readonly hold: boolean }
  | { readonly kind: 'new-reader'; readonly at: number }
  | { readonly kind: 'restart'; readonly how: 'close' | 'kill' | 'power' };

const KINDS: readonly EventKind[] = ['insert', 'update', 'delete', 'truncate', 'message'];

const sizes = fc.oneof(
  { weight: 6, arbitrary: fc.array(fc.nat(120), { maxLength: 6 }) },
  { weight: 2, arbitrary: fc.array(fc.nat(1500), { minLength: 5, maxLength: 30 }) },
  { weight: 1, arbitrary: fc.array(fc.integer({ min: 3000, max: 70_000 }), { minLength: 1, maxLength: 3 }) },
);
const limit = fc.record({
  maxEvents: fc.integer({ min: 1, max: 30 }),
  maxBytes: fc.integer({ min: 1, max: 20_000 }),
  maxTransactionBytes: fc.oneof(fc.integer({ min: 0, max: 4000 }), fc.constant(1 * MiB)),
  lingerMs: fc.constantFrom(0, 0, 1),
});
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('transaction' as const),
      sizes,
      lostAfter: fc.oneof(
        { weight: 4, arbitrary: fc.constant([]) },
        { weight: 1, arbitrary: fc.array(fc.nat(30), { maxLength: 2 }) },
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('message' as const, 'keepalive', 'turn', 'turn', 'sync') }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      reader: fc.nat(3),
      limit,
      hold: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('new-reader' as const), at: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('restart' as const),
      how: fc.constantFrom('close' as const, 'kill', 'power'),
    }),
  },
);

const sizesOfLog = fc.record({
  segmentBytes: fc.integer({ min: 300, max: 60_000 }),
  blockBytes: fc.integer({ min: 40, max: 4000 }),
  slabBytes: fc.integer({ min: 100, max: 8000 }),
  readBytes: fc.integer({ min: 64, max: 8000 }),
  tailBytes: fc.integer({ min: 100, max: 30_000 }),
  maxUnsyncedBytes: fc.integer({ min: 1, max: 30_000 }),
  syncIntervalMs: fc.constantFrom(0, 0, 1),
});

/** A consumer with a position of its own, which outlives the log's restarts. */
class Consumer {
  readonly start: Position | undefined;
  readonly lines: string[] = [];
  position: Position | undefined;
  endLsn: Lsn = 0n;
  #reader: LogReader | undefined;
  #held: LogBatch[] = [];

  constructor(start: Position | undefined) {
    this.start = start;
    this.position = start;
  }

  /** One batch, when something is there. */
  async read(log: EventLog, limit: ReadLimit, hold: boolean): Promise<void> {
    this.#reader ??= log.read(this.position, 'consumer');
    const waiting = new AbortController();
    const next = this.#reader.next(limit, waiting.signal);
    // Reads of the simulated disk take a few turns of the event loop; a linger takes a timer.
    const given = new Promise((resolve) => setTimeout(resolve, 2 + limit.lingerMs)).then(() =>
      waiting.abort(new Error('nothing there')),
    );
    const batch = await next.catch((error: unknown) => {
      if (waiting.signal.aborted) return undefined;
      throw error;
    });
    await given;
    if (batch !== undefined) this.take(batch, limit, hold);
  }

  take(batch: LogBatch, limit: ReadLimit, hold: boolean): void {
    const { to } = batch;
    const commits = new Set<Lsn>();
    let payloadBytes = 0;
    for (let i = 0; i < batch.count; i++) {
      const event = batch.event(i);
      commits.add(event.commitLsn);
      payloadBytes += payloadOf(event).length;
      this.lines.push(lineOf(event));
    }
    if (batch.count > 0) {
      const last = batch.event(batch.count - 1);
      expect(to.position).toEqual(last.position);
      const { eventCount } = last.transaction;
      if (batch.wholeTransactions) {
        expect(last.seq).toBe(eventCount);
        if (last.seq > 0) expect(to.endLsn >= last.transaction.endLsn).toBe(true);
      } else {
        expect(last.seq).toBeLessThan(eventCount);
        expect(to.endLsn <= last.commitLsn).toBe(true);
        expect(commits.size).toBe(1);
      }
      if (commits.size > 1) {
        expect(batch.count).toBeLessThanOrEqual(limit.maxEvents);
        expect(payloadBytes).toBeLessThanOrEqual(limit.maxBytes);
      }
    } else {
      expect(batch.wholeTransactions).toBe(true);
      expect(batch.commitTimeUs).toBe(0n);
    }
    if (this.position !== undefined)
      expect(comparePositions(to.position, this.position)).toBeGreaterThanOrEqual(0);
    expect(to.endLsn >= this.endLsn).toBe(true);
    this.position = to.position;
    this.endLsn = to.endLsn;
    if (hold && this.#held.length < 3) this.#held.push(batch);
    else batch.release();
  }

  /** Events of batches that are held stay as they are, whatever the log does meanwhile. */
  checkHeld(): void {
    for (const batch of this.#held) {
      for (let i = batch.count - 1; i >= 0; i--) expect(this.lines).toContain(lineOf(batch.event(i)));
      batch.release();
    }
    this.#held = [];
  }

  async disconnect(): Promise<void> {
    this.checkHeld();
    await this.#reader?.close();
    this.#reader = undefined;
    // A restart may have to give again progress that was seen before it was on disk.
    this.endLsn = 0n;
  }

  async drain(log: EventLog, endLsn: Lsn): Promise<void> {
    const limit = { maxEvents: 7, maxBytes: 5000, maxTransactionBytes: 3000, lingerMs: 0 };
    this.#reader ??= log.read(this.position, 'consumer');
    while (this.endLsn < endLsn)
      this.take(await this.#reader.next(limit, AbortSignal.timeout(10_000)), limit, false);
    await this.disconnect();
  }
}

class World {
  readonly #directory: TestDirectory;
  readonly #options: Partial<OpenEventLogOptions>;
  #disk: SimulatedDisk;
  #log: EventLog | undefined;
  readonly #wal: WalEntry[] = [];
  /** Entries of the WAL that the log has been given since its last start. */
  #given = 0;
  #lsn: Lsn = 1000n;
  #released: Position = BEFORE_ALL;
  readonly #consumers = [new Consumer(undefined)];

  constructor(directory: TestDirectory, options: Partial<OpenEventLogOptions>, random: Random) {
    this.#directory = directory;
    this.#disk = new SimulatedDisk(random);
    this.#options = options;
  }

  async open(): Promise<EventLog> {
    const log = await this.#directory.open({ ...this.#options, fileSystem: this.#disk });
    this.#log = log;
    return log;
  }

  get #open(): EventLog {
    if (this.#log === undefined) throw new Error('not open');
    return this.#log;
  }

  async run(step: Command): Promise<void> {
    const log = this.#open;
    switch (step.kind) {
      case 'transaction':
        this.#wal.push({ kind: 'transaction', sent: this.#transaction(step.sizes) });
        await this.#deliver(step.lostAfter);
        return;
      case 'message':
        this.#wal.push({ kind: 'message', lsn: this.#advance(48), content: `message ${this.#lsn}` });
        await this.#deliver([]);
        return;
      case 'keepalive':
        this.#wal.push({ kind: 'keepalive', lsn: this.#advance(100) });
        await this.#deliver([]);
        return;
      case 'turn':
        await new Promise(setImmediate);
        return;
      case 'sync':
        await log.sync();
        expect(log.synced).toBe(log.appended);
        return;
      case 'read':
        await this.#consumers[step.reader % this.#consumers.length]?.read(log, step.limit, step.hold);
        return;
      case 'new-reader': {
        const sent = this.#wal.flatMap((entry) => (entry.kind === 'transaction' ? [entry.sent] : []));
        const at = sent[step.at % Math.max(sent.length, 1)];
        if (at === undefined || this.#consumers.length === 4) return;
        const start = { commitLsn: at.commitLsn, seq: step.at % (at.events.length + 1) };
        if (comparePositions(start, this.#released) >= 0) this.#consumers.push(new Consumer(start));
        return;
      }
      case 'release':
        this.#released = this.#consumers
          .map((consumer) => consumer.position ?? BEFORE_ALL)
          .reduce((oldest, position) => (comparePositions(position, oldest) < 0 ? position : oldest));
        await log.releaseBelow(this.#released);
        return;
      case 'restart':
        await this.#restart(step.how);
    }
  }

  async finish(): Promise<void> {
    await this.run({ kind: 'keepalive' });
    await this.#restart('close');
    for (const consumer of this.#consumers) {
      await consumer.drain(this.#open, this.#lsn);
      expect(consumer.lines).toEqual(this.#expected(consumer.start));
    }
  }

  async #restart(how: 'close' | 'kill' | 'power'): Promise<void> {
    const log = this.#open;
    for (const consumer of this.#consumers) await consumer.disconnect();
    const { synced, appended } = log;
    if (how === 'kill') this.#disk = this.#disk.kill();
    if (how === 'power') this.#disk = this.#disk.cutPower();
    await log.close();
    const { facts } = await this.open();
    expect(facts.endLsn >= (how === 'close' ? appended : synced)).toBe(true);
    expect(facts.endLsn <= appended).toBe(true);
    this.#given = this.#wal.findIndex((entry) => endOf(entry) > facts.endLsn);
    if (this.#given < 0) this.#given = this.#wal.length;
    await this.#deliver([]);
  }

  /** Gives the log what it does not have, as the server would after START_REPLICATION at its end. */
  async #deliver(lostAfter: readonly number[]): Promise<void> {
    const log = this.#open;
    for (; this.#given < this.#wal.length; this.#given++) {
      const entry = this.#wal[this.#given] as WalEntry;
      await log.ready();
      if (entry.kind === 'keepalive') log.progress(entry.lsn);
      if (entry.kind === 'message') log.message(entry.lsn, messageBody(entry.content));
      if (entry.kind !== 'transaction') continue;
      for (const lost of lostAfter) {
        begin(log, entry.sent);
        for (const event of entry.sent.events.slice(0, lost)) append(log, event);
        await log.ready();
        log.rollback();
      }
      begin(log, entry.sent);
      for (const event of entry.sent.events) {
        await log.ready();
        append(log, event);
      }
      log.commit(entry.sent.endLsn);
      expect(log.appended).toBe(entry.sent.endLsn);
    }
  }

  #transaction(bytes: readonly number[]): SentTransaction {
    const first = this.#lsn;
    const commitLsn = this.#advance(bytes.length * 8 + 8);
    return {
      commitLsn,
      endLsn: this.#advance(48),
      xid: Number(commitLsn),
      commitTimeUs: commitLsn * 1000n,
      origin: bytes.length % 3 === 0 ? { name: `upstream ${bytes.length}`, commitLsn: first } : undefined,
      events: bytes.map((size, i) => ({
        table: `t${(size + i) % 5}`,
        kind: KINDS[(size + i) % KINDS.length] as EventKind,
        payload: `${commitLsn}/${i}:`.padEnd(size, 'x'),
        walLsn: first + BigInt(i),
      })),
    };
  }

  #advance(bytes: number): Lsn {
    this.#lsn += BigInt(bytes);
    return this.#lsn;
  }

  #expected(after: Position | undefined): string[] {
    return this.#wal.flatMap((entry) => {
      if (entry.kind === 'keepalive') return [];
      if (entry.kind === 'message') {
        const at = { commitLsn: entry.lsn, seq: 0 };
        return after !== undefined && comparePositions(at, after) <= 0
          ? []
          : [messageLine(entry.lsn, entry.content)];
      }
      const { commitLsn } = entry.sent;
      return linesOf(entry.sent).filter(
        (_, i) => after === undefined || comparePositions({ commitLsn, seq: i + 1 }, after) > 0,
      );
    });
  }
}

function endOf(entry: WalEntry): Lsn {
  return entry.kind === 'transaction' ? entry.sent.endLsn : entry.lsn;
}

/** mulberry32 */
function randomFrom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

test('every reader sees every committed event once, in order, whatever happens to connections, process and disk', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { maxLength: 60, size: 'max' }),
      sizesOfLog,
      fc.integer(),
      async (commands, options, seed) => {
        await using directory = await TestDirectory.make();
        const world = new World(
          directory,
          {
            ...options,
            limitBytes: 256 * MiB,
            retainAgeMs: 0,
            lock: { heartbeatMs: 60_000, silenceMs: 60_000 },
          },
          randomFrom(seed),
        );
        await world.open();
        for (const step of commands) await world.run(step);
        await world.finish();
      },
    ),
    {
      numRuns: Number(process.env['TAILRACE_PROPERTY_RUNS'] ?? 60),
      endOnFailure: process.env['TAILRACE_SHRINK'] === undefined,
    },
  );
}, 120_000);
