import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { DeadLetterLog } from '../../src/delivery/dead-letters.ts';
import { Lane } from '../../src/delivery/lane.ts';
import { LaneMeter } from '../../src/delivery/lane-meter.ts';
import { Router } from '../../src/delivery/router.ts';
import type { Capabilities } from '../../src/delivery/sink.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import type { EventLog } from '../../src/event-log/contract.ts';
import { openEventLog } from '../../src/event-log/open-event-log.ts';
import type { Relation } from '../../src/events/relation.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { noMetrics } from '../../src/observe/metrics.ts';
import { relation } from '../connectors/batch-builder.ts';
import { waitFor } from '../support/wait.ts';
import { ScriptedSink } from './scripted-sink.ts';

const CAPABILITIES: Capabilities = {
  inFlight: 1,
  positioned: true,
  maxBatchEvents: 100,
  maxBatchBytes: 1024 * 1024,
  maxTransactionBytes: 16 * 1024 * 1024,
  lingerMs: 0,
  flushIntervalMs: 20,
};

let dir: string;
let log: EventLog;
let orders: Relation;
let audit: Relation;
let lsn = 1000n;
let stop: AbortController;
let lanes: { lane: Lane; life: Promise<void> }[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tailrace-lane-'));
  lsn = 1000n;
  stop = new AbortController();
  lanes = [];
  log = await openEventLog({
    dir,
    limitBytes: 1024 ** 3,
    segmentBytes: 1024 ** 2,
    retainAgeMs: 0,
    retainBytes: 0,
    maxUnsyncedBytes: 1024 ** 2,
    syncIntervalMs: 0,
    tailBytes: 1024 ** 2,
  });
  await log.setIdentity({
    pipeline: 'shop',
    database: '7/5',
    slot: 's',
    generation: 1,
    timeline: 1,
    slotCreated: true,
  });
  await log.restartAt(lsn);
  orders = log.relation(relation({ table: 'orders', columns: { id: 'int4' }, key: ['id'] }));
  audit = log.relation(relation({ table: 'audit', columns: { id: 'int4' }, key: ['id'] }));
});

afterEach(async () => {
  stop.abort(new Error('the test is over'));
  await Promise.allSettled(lanes.map(({ life }) => life));
  await log.close();
  await rm(dir, { recursive: true });
});

/** One committed transaction of inserts; returns its end LSN. */
function commit(table: Relation, ...ids: readonly number[]): bigint {
  lsn += 1000n;
  log.begin({ commitLsn: lsn, xid: 1, commitTimeUs: 1_700_000_000_000_000n });
  for (const id of ids) {
    const text = Buffer.from(String(id));
    const body = Buffer.concat([Buffer.from('N\0\x01t\0\0\0'), Buffer.from([text.length]), text]);
    log.append({ relation: table, kind: 'insert', walLsn: lsn, body, start: 0, end: body.length });
  }
  log.commit(lsn + 48n);
  return lsn + 48n;
}

function start(sink: ScriptedSink, capabilities: Partial<Capabilities> = {}): Lane {
  const lane = new Lane({
    name: 'search',
    sink,
    capabilities: { ...CAPABILITIES, ...capabilities },
    router: new Router({
      // The audit table is not for this sink.
      mappingsFor: ({ table }) =>
        table === 'audit' ? [] : [{ id: 'm', table, sink: 'search', options: {}, where: 'x.yaml:1:1' }],
      prepare: (_, shape) => sink.prepare(_, shape),
    }),
    log,
    deadLetters: new DeadLetterLog({ dataDir: dir, sink: 'search' }),
    clock: systemClock,
    logger: silentLogger,
    meter: new LaneMeter(noMetrics, 'search'),
  });
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
});
