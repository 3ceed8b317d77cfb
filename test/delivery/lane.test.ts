import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Lane } from '../../src/delivery/lane.ts';
import type { Capabilities, SinkBatch, WriteResult } from '../../src/delivery/sink.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import type { EventLog } from '../../src/event-log/contract.ts';
import type { Relation } from '../../src/events/relation.ts';
import { waitFor } from '../support/wait.ts';
import { LogFixture } from './log-fixture.ts';
import { ScriptedSink } from './scripted-sink.ts';

let fixture: LogFixture;
let dir: string;
let log: EventLog;
let orders: Relation;
let audit: Relation;
let stop: AbortController;
let lanes: { lane: Lane; life: Promise<void> }[];

beforeEach(async () => {
  fixture = await LogFixture.open();
  ({ dir, log, orders, audit } = fixture);
  stop = new AbortController();
  lanes = [];
});

afterEach(async () => {
  stop.abort(new Error('the test is over'));
  await Promise.allSettled(lanes.map(({ life }) => life));
  expect(fixture).toMatchObject({ held: 0, releasedTwice: 0 });
  await fixture[Symbol.asyncDispose]();
});

function commit(table: Relation, ...ids: readonly number[]): bigint {
  return fixture.commit(table, ...ids);
}

function start(sink: ScriptedSink, capabilities: Partial<Capabilities> = {}): Lane {
  const lane = fixture.lane(sink, capabilities);
  const life = lane.open(stop.signal).then((checkpoint) => lane.run(checkpoint, stop.signal));
  life.catch(() => {});
  lanes.push({ lane, life });
  return lane;
}

function lifeOf(lane: Lane): Promise<void> {
  return lanes.find((entry) => entry.lane === lane)?.life as Promise<void>;
}

describe('a healthy sink', () => {
  test('gets everything in order, and its checkpoint becomes durable without more traffic', async () => {
    const sink = new ScriptedSink();
    const lane = start(sink);
    commit(orders, 1, 2);
    const end = commit(orders, 3);
    await waitFor(() => lane.durable?.endLsn === end);
    expect(sink.stored.rows).toEqual(['orders insert 1', 'orders insert 2', 'orders insert 3']);
    expect(sink.stored.checkpoint).toMatchObject({ endLsn: end, source: '7/5#1' });
  });

  test('resumes after its own checkpoint: nothing twice, nothing missing', async () => {
    const first = new ScriptedSink();
    commit(orders, 1);
    const lane = start(first);
    await waitFor(() => first.stored.checkpoint !== undefined);
    stop.abort(new Error('killed'));
    await Promise.allSettled([lifeOf(lane)]);
    commit(orders, 2);
    stop = new AbortController();
    const second = new ScriptedSink(first.stored);
    start(second);
    await waitFor(() => second.stored.rows.length === 2);
    expect(second.stored.rows).toEqual(['orders insert 1', 'orders insert 2']);
  });
});

describe('events that are not for the sink', () => {
  test('move its checkpoint when the lane drains, without a write of rows', async () => {
    const sink = new ScriptedSink();
    const lane = start(sink);
    const end = commit(audit, 1);
    lane.drain(end);
    await lifeOf(lane);
    expect(lane.state).toBe('drained');
    expect(sink.stored).toMatchObject({ rows: [], checkpoint: { endLsn: end } });
  });

  test('move it by a progress mark too', async () => {
    const sink = new ScriptedSink();
    const lane = start(sink);
    commit(orders, 1);
    const { lsn } = fixture;
    log.progress(lsn + 5000n);
    lane.drain(lsn + 5000n);
    await lifeOf(lane);
    expect(lane.durable?.endLsn).toBe(lsn + 5000n);
    expect(sink.stored.checkpoint?.position.commitLsn).toBe(lsn);
  });
});

describe('a failing sink', () => {
  test.each(['fails', 'applied-then-fails'] as const)(
    'write that %s is tried again until it works',
    async (fault) => {
      const sink = new ScriptedSink();
      sink.faults.write = [fault, fault];
      const lane = start(sink);
      const end = commit(orders, 1);
      await waitFor(() => lane.durable?.endLsn === end);
      expect(sink.stored.rows).toEqual(['orders insert 1']);
      expect(lane.meter.retries).toBe(2);
      expect(lane.state).toBe('streaming');
    },
  );

  test.each(['open', 'prepare', 'flush'] as const)('%s is tried again', async (call) => {
    const sink = new ScriptedSink();
    sink.faults[call] = ['fails'];
    const lane = start(sink);
    const end = commit(orders, 1);
    await waitFor(() => lane.durable?.endLsn === end);
    expect(lane.meter.retries).toBe(1);
  });

  test('says that it is retrying, and why', async () => {
    const sink = new ScriptedSink();
    sink.faults.write = Array<'fails'>(50).fill('fails');
    const lane = start(sink);
    commit(orders, 1);
    await waitFor(() => lane.state === 'retrying');
    expect(lane.error?.code).toBe('E_SINK_UNAVAILABLE');
    expect(lane.durable).toBeUndefined();
  });

  test('stops for good at an error nobody can wait out', async () => {
    const sink = new ScriptedSink();
    sink.faults.write = [new TailraceError({ code: 'E_FENCED', message: 'Another instance.' })];
    const lane = start(sink);
    commit(orders, 1);
    await expect(lifeOf(lane)).rejects.toMatchObject({ code: 'E_FENCED' });
    expect(lane.state).toBe('stopped');
  });

  test('does not disturb another lane of the same log', async () => {
    const broken = new ScriptedSink();
    broken.faults.write = ['hangs'];
    const sink = new ScriptedSink();
    start(broken);
    const lane = start(sink);
    const end = commit(orders, 1);
    await waitFor(() => lane.durable?.endLsn === end);
    expect(broken.rows).toEqual([]);
  });
});

describe('several writes in flight', () => {
  test('settle in any order, the checkpoint moves in order and never past one that is open', async () => {
    const sink = new ScriptedSink();
    let release = (): void => {};
    sink.gate = new Promise((resolve) => {
      release = resolve;
    });
    const lane = start(sink, { inFlight: 2, maxBatchEvents: 1 });
    commit(orders, 1);
    await waitFor(() => sink.calls.length === 1);
    const second = commit(orders, 2);
    await waitFor(() => sink.calls.length === 2);
    commit(orders, 3);
    expect(lane.durable).toBeUndefined();
    expect(lane.meter.events).toBe(0);
    release();
    await waitFor(() => (lane.durable?.endLsn ?? 0n) > second);
    expect(sink.stored.rows).toEqual(['orders insert 1', 'orders insert 2', 'orders insert 3']);
  });
});

describe('what a lane says of itself', () => {
  test('a batch that is being tried again counts as not delivered, with the age of its oldest change', async () => {
    const sink = new ScriptedSink();
    const lane = start(sink);
    const good = commit(orders, 1);
    await waitFor(() => lane.reached?.endLsn === good);
    expect(lane.oldestWaitingUs).toBeUndefined();
    sink.faults.write = ['hangs'];
    const beforeUs = BigInt(Date.now()) * 1000n;
    commit(orders, 2);
    await waitFor(() => sink.calls.filter((call) => call === 'write 1').length === 2);
    commit(audit, 3);
    expect(lane.reached?.endLsn).toBe(good);
    expect(lane.oldestWaitingUs).toBeGreaterThanOrEqual(beforeUs);
  });

  test('changes for others count as delivered when nothing before them is on its way', async () => {
    const lane = start(new ScriptedSink());
    const end = commit(audit, 1);
    await waitFor(() => lane.reached?.endLsn === end);
    expect(lane.oldestWaitingUs).toBeUndefined();
  });

  test('dead letters of earlier runs are counted from the start', async () => {
    const sink = new ScriptedSink();
    sink.faults.write = [{ item: 0, reason: 'no', detail: 'never' }];
    commit(orders, 1);
    await expect(lifeOf(start(sink))).rejects.toMatchObject({ code: 'E_POISON' });
    const lane = start(new ScriptedSink());
    await waitFor(() => lane.opened);
    expect(lane.meter.letters).toBe(1);
  });
});

describe('a sink that is slower to store than to take', () => {
  test('is durable as far as it says, not as far as it was given', async () => {
    class WholeTransactionsOnly extends ScriptedSink {
      override async flush(): Promise<undefined> {
        await super.flush();
        return undefined;
      }
    }
    const sink = new WholeTransactionsOnly();
    const lane = start(sink);
    commit(orders, 1);
    await waitFor(() => sink.calls.includes('flush'));
    expect(lane.durable).toBeUndefined();
  });

  test('is told that a checkpoint stands inside a transaction', async () => {
    const seen: { count: number; whole: boolean }[] = [];
    class Recording extends ScriptedSink {
      override write(batch: SinkBatch, signal: AbortSignal): Promise<WriteResult> {
        seen.push({ count: batch.count, whole: batch.wholeTransactions });
        return super.write(batch, signal);
      }
    }
    log.begin({ commitLsn: fixture.lsn + 1000n, xid: 1, commitTimeUs: 1n });
    const body = Buffer.from('N\0\x01t\0\0\0\x011', 'latin1');
    for (const table of [audit, orders, orders]) {
      log.append({ relation: table, kind: 'insert', walLsn: fixture.lsn, body, start: 0, end: body.length });
    }
    log.commit(fixture.lsn + 1048n);
    const lane = fixture.lane(new Recording(), { maxTransactionBytes: 1, maxBatchEvents: 1 });
    // Asked for before it reads: due behind the first piece, which is for nobody.
    lane.storeProgress();
    lane.drain(fixture.lsn + 1048n);
    await lane.open(stop.signal);
    await lane.run(undefined, stop.signal);
    expect(seen[0]).toEqual({ count: 0, whole: false });
    expect(seen.at(-1)).toEqual({ count: 1, whole: true });
  });
});

describe('several writes of which an earlier one fails for good', () => {
  test('the bytes of a later one are its own until it has ended', async () => {
    const released: boolean[] = [];
    class Slow extends ScriptedSink {
      override async write(batch: SinkBatch, signal: AbortSignal): Promise<WriteResult> {
        const { event } = batch.item(0);
        if (event.column('after', 0) === 'value' && event.text() === '1') {
          await waitFor(() => this.calls.includes('second'));
          throw new TailraceError({ code: 'E_FENCED', message: 'Another instance.' });
        }
        this.calls.push('second');
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
        // As a client that finishes encoding what it has begun.
        await new Promise((resolve) => setImmediate(resolve));
        released.push(batch.item(0).event.op !== 'insert');
        throw signal.reason;
      }
    }
    const lane = start(new Slow(), { inFlight: 2, maxBatchEvents: 1 });
    commit(orders, 1);
    commit(orders, 2);
    await expect(lifeOf(lane)).rejects.toMatchObject({ code: 'E_FENCED' });
    expect(released).toEqual([false]);
  });

  test('a later one that fails for good ends an earlier one that only waits', async () => {
    const sink = new ScriptedSink();
    sink.faults.write = ['hangs', new TailraceError({ code: 'E_FENCED', message: 'Another instance.' })];
    const lane = start(sink, { inFlight: 2, maxBatchEvents: 1 });
    commit(orders, 1);
    commit(orders, 2);
    await expect(lifeOf(lane)).rejects.toMatchObject({ code: 'E_FENCED' });
    expect(lane.durable).toBeUndefined();
  });
});

describe('a poison event', () => {
  const rejection = { item: 1, reason: 'document_parsing_exception', detail: 'field [id] of type [ip]' };

  test('is a dead letter before the lane stops, with what is needed to repair it; its position is never passed', async () => {
    const sink = new ScriptedSink();
    const lane = start(sink);
    const good = commit(orders, 1);
    await waitFor(() => lane.durable?.endLsn === good);
    sink.faults.write = [rejection];
    commit(orders, 7, 8);
    await expect(lifeOf(lane)).rejects.toMatchObject({
      code: 'E_POISON',
      message: expect.stringContaining('public.orders'),
    });
    const letters = (await readFile(join(dir, 'dead-letters', 'search.ndjson'), 'utf8')).trim().split('\n');
    expect(letters.map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({
        sink: 'search',
        table: 'public.orders',
        op: 'insert',
        reason: rejection.reason,
        event: { columns: ['id'], after: ['8'] },
      }),
    ]);
    expect(lane.durable?.endLsn).toBe(good);
    expect(lane.meter.letters).toBe(1);
  });

  test('met again after a restart it is not written twice', async () => {
    commit(orders, 7, 8);
    for (let run = 0; run < 2; run++) {
      const sink = new ScriptedSink();
      sink.faults.write = [rejection];
      await expect(lifeOf(start(sink))).rejects.toMatchObject({ code: 'E_POISON' });
    }
    const text = await readFile(join(dir, 'dead-letters', 'search.ndjson'), 'utf8');
    expect(text.trim().split('\n')).toHaveLength(1);
  });

  test('a message names no value of the row', async () => {
    const sink = new ScriptedSink();
    sink.faults.write = [rejection];
    const lane = start(sink);
    commit(orders, 7, 4711);
    const error = await lifeOf(lane).catch((thrown: unknown) => thrown as TailraceError);
    expect((error as TailraceError).describe()).not.toContain('4711');
  });
});

describe('halting', () => {
  test('ends a lane whose sink hangs, with the reason given', async () => {
    const sink = new ScriptedSink();
    sink.faults.write = ['hangs'];
    const lane = start(sink);
    commit(orders, 1);
    await waitFor(() => sink.calls.length === 1);
    lane.halt(new TailraceError({ code: 'E_LOG_FULL', message: 'Detached.' }));
    await expect(lifeOf(lane)).rejects.toMatchObject({ code: 'E_LOG_FULL' });
  });

  test('reaches a lane that has stopped before: what holds nothing back any more says so', async () => {
    const sink = new ScriptedSink();
    sink.faults.write = [new TailraceError({ code: 'E_SINK_CONFIG', message: 'No such topic.' })];
    const lane = start(sink);
    commit(orders, 1);
    await expect(lifeOf(lane)).rejects.toMatchObject({ code: 'E_SINK_CONFIG' });
    lane.halt(new TailraceError({ code: 'E_LOG_FULL', message: 'Detached.' }));
    expect(lane).toMatchObject({ state: 'stopped', error: { code: 'E_LOG_FULL' } });
  });
});
