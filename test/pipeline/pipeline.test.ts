import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Lane } from '../../src/delivery/lane.ts';
import { asTailraceError, TailraceError } from '../../src/errors/tailrace-error.ts';
import type { EventLog } from '../../src/event-log/contract.ts';
import type { Checkpoint } from '../../src/events/position.ts';
import type { ConfirmMode } from '../../src/pipeline/confirmable.ts';
import { Pipeline } from '../../src/pipeline/pipeline.ts';
import { relation } from '../connectors/batch-builder.ts';
import { fastClock, passed } from '../delivery/fast-clock.ts';
import { LogFixture } from '../delivery/log-fixture.ts';
import { ScriptedSink } from '../delivery/scripted-sink.ts';
import { type LoggedLine, recordingLogger } from '../observe/recording-logger.ts';
import { waitFor } from '../support/wait.ts';
import { ScriptedSource, SLOT, unreachable } from './scripted-source.ts';

let fixture: LogFixture;
let source: ScriptedSource;
let running: Running[];

beforeEach(async () => {
  fixture = await LogFixture.open();
  source = new ScriptedSource();
  running = [];
});

afterEach(async () => {
  for (const each of running) await each.kill();
  await fixture[Symbol.asyncDispose]();
});

interface RunOptions {
  readonly lanes: readonly Lane[];
  readonly mode?: ConfirmMode;
  readonly onFull?: 'stop' | 'detach';
  readonly log?: EventLog;
  readonly name?: string;
}

class Running {
  readonly pipeline: Pipeline;
  readonly logged: LoggedLine[] = [];
  readonly ended: Promise<TailraceError | undefined>;
  readonly #drain = new AbortController();
  readonly #kill = new AbortController();

  constructor({ lanes, mode = 'auto', onFull = 'stop', log = fixture.log, name = 'shop' }: RunOptions) {
    this.pipeline = new Pipeline({
      name,
      slotName: 'tailrace_shop',
      source,
      log,
      createLanes: () => lanes,
      budget: { mode, bytes: 1024n ** 3n },
      onFull,
      drainTimeoutMs: 40_000,
      clock: fastClock,
      logger: recordingLogger(this.logged),
    });
    this.ended = this.pipeline.run({ drain: this.#drain.signal, kill: this.#kill.signal }).then(
      () => undefined,
      (error: unknown) => asTailraceError(error),
    );
    running.push(this);
  }

  async streaming(): Promise<void> {
    await waitFor(() => source.into !== undefined, { describe: 'the stream to be open' });
  }

  stop(): Promise<TailraceError | undefined> {
    this.#drain.abort();
    return this.ended;
  }

  kill(): Promise<TailraceError | undefined> {
    this.#kill.abort(new Error('killed by the test'));
    return this.ended;
  }

  errors(): readonly string[] {
    return this.logged.filter(({ level }) => level === 'error').map(({ fields }) => String(fields['code']));
  }
}

function checkpointAt(endLsn: bigint, source = '7/5#1'): Checkpoint {
  return { position: { commitLsn: endLsn - 48n, seq: 1 }, endLsn, source };
}

function sinkAt(endLsn: bigint, source?: string): ScriptedSink {
  return new ScriptedSink({ checkpoint: checkpointAt(endLsn, source), rows: [] });
}

/** A sink that cannot be opened until the test lets it. */
function shut(sink: ScriptedSink): () => void {
  const open = sink.open.bind(sink);
  let there = false;
  sink.open = () =>
    there
      ? open()
      : Promise.reject(
          new TailraceError({ code: 'E_SINK_UNAVAILABLE', message: 'Not there.', retriable: true }),
        );
  return () => {
    there = true;
  };
}

async function smallSegments(limitBytes = 1024 ** 2): Promise<void> {
  await fixture[Symbol.asyncDispose]();
  fixture = await LogFixture.open({ segmentBytes: 16 * 1024, limitBytes, tailBytes: 64 * 1024 });
}

describe('what the log keeps', () => {
  test('while the server cannot be reached nothing is let go: no sink has told where it stands', async () => {
    await smallSegments();
    await fixture.fill(40);
    const before = fixture.log.facts.segments;
    expect(before).toBeGreaterThan(3);
    source.faults.inspect.push(...Array.from({ length: 50 }, unreachable));
    const run = new Running({ lanes: [fixture.lane(new ScriptedSink())] });
    await passed(7000);
    expect(fixture.log.facts.segments).toBe(before);
    await run.kill();
  });

  test('goes when every sink has it, and waits for one that cannot be opened', async () => {
    await smallSegments();
    const end = await fixture.fill(40);
    const before = fixture.log.facts.segments;
    const late = new ScriptedSink();
    const letIn = shut(late);
    const here = fixture.lane(new ScriptedSink(), { name: 'here' });
    const there = fixture.lane(late, { name: 'there' });
    new Running({ lanes: [here, there] });
    await waitFor(() => here.reached?.endLsn === end, { timeoutMs: 20_000 });
    here.storeProgress();
    await waitFor(() => here.durable?.endLsn === end);
    await passed(6000);
    expect(fixture.log.facts.segments).toBe(before);
    letIn();
    await waitFor(() => there.reached?.endLsn === end, { timeoutMs: 20_000 });
    there.storeProgress();
    await waitFor(() => fixture.log.facts.segments === 1, { timeoutMs: 20_000 });
  }, 60_000);
});

describe('a sink behind the log', () => {
  test('stops by itself, is told once, and holds neither slot nor log; the others go on', async () => {
    await smallSegments();
    await fixture.fill(40);
    await fixture.log.releaseBelow(fixture.log.facts.last);
    const behind = fixture.lane(sinkAt(1500n), { name: 'behind' });
    const fine = fixture.lane(sinkAt(fixture.lsn + 48n), { name: 'fine' });
    const run = new Running({ lanes: [behind, fine], mode: 'sinks' });
    await run.streaming();
    const end = fixture.commit(fixture.orders, 1);
    await waitFor(() => fine.durable?.endLsn === end);
    expect(behind).toMatchObject({ state: 'stopped', error: { code: 'E_SINK_BEHIND' } });
    expect(run.errors()).toEqual(['E_SINK_BEHIND']);
    await waitFor(() => source.confirmed.at(-1) === end);
    expect(await run.stop()).toMatchObject({ code: 'E_DRAIN' });
  }, 30_000);

  test('that is the only one ends the run', async () => {
    await smallSegments();
    await fixture.fill(40);
    await fixture.log.releaseBelow(fixture.log.facts.last);
    const run = new Running({ lanes: [fixture.lane(sinkAt(1500n))] });
    expect(await run.ended).toMatchObject({ code: 'E_SINK_BEHIND', exitCode: 4 });
  });
});

describe('a sink that opens late', () => {
  test.each([
    ['holds what this server does not have', sinkAt(2_000_000_000n), 'E_DIVERGED'],
    ['was fed from another database', sinkAt(1500n, '9/9#1'), 'E_IDENTITY'],
  ])(
    'and %s is refused then, alone',
    async (_, sink, code) => {
      const letIn = shut(sink);
      const late = fixture.lane(sink, { name: 'late' });
      const run = new Running({ lanes: [late, fixture.lane(new ScriptedSink(), { name: 'here' })] });
      await run.streaming();
      letIn();
      await waitFor(() => late.state === 'stopped', { timeoutMs: 40_000 });
      expect(late.error?.code).toBe(code);
      expect(run.errors()).toEqual([code]);
      expect(run.pipeline.state).toBe('streaming');
    },
    60_000,
  );

  test('goes on where it stood', async () => {
    const first = fixture.commit(fixture.orders, 1);
    fixture.commit(fixture.orders, 2);
    const sink = sinkAt(first);
    const letIn = shut(sink);
    new Running({ lanes: [fixture.lane(sink, { name: 'late' })] });
    letIn();
    await waitFor(() => sink.stored.rows.length === 1, { timeoutMs: 20_000 });
    expect(sink.stored.rows).toEqual(['orders insert 2']);
  }, 30_000);
});

describe('the destinations of known tables', () => {
  test('are made before the first event, once: what is missing stops its sink at the start', async () => {
    source.definitions = [relation({ table: 'orders', columns: { id: 'int4' }, key: ['id'] })];
    const broken = new ScriptedSink();
    broken.faults.prepare = [new TailraceError({ code: 'E_SINK_CONFIG', message: 'No such topic.' })];
    const fine = new ScriptedSink();
    fine.faults.prepare = ['fails'];
    let prepared = 0;
    const prepare = fine.prepare.bind(fine);
    fine.prepare = (...args) => {
      prepared++;
      return prepare(...args);
    };
    const lanes = [fixture.lane(broken, { name: 'broken' }), fixture.lane(fine, { name: 'fine' })] as const;
    const run = new Running({ lanes });
    await waitFor(() => lanes[0].state === 'stopped');
    expect(run.errors()).toEqual(['E_SINK_CONFIG']);
    await waitFor(() => prepared === 2);
    fixture.commit(fixture.orders, 1);
    await waitFor(() => fine.stored.rows.length === 1);
    expect(prepared).toBe(2);
  });

  test('are not touched while events wait that an older shape of the table may have written', async () => {
    source.definitions = [relation({ table: 'later', columns: { id: 'int4' }, key: ['id'] })];
    fixture.commit(fixture.orders, 1);
    await fixture.log.sync();
    const sink = new ScriptedSink();
    sink.faults.prepare = [];
    const seen: string[] = [];
    const prepare = sink.prepare.bind(sink);
    sink.prepare = (mapping, shape) => {
      seen.push(shape.table);
      return prepare(mapping, shape);
    };
    new Running({ lanes: [fixture.lane(sink)] });
    await waitFor(() => sink.stored.rows.length === 1);
    expect(seen).toEqual(['orders']);
  });
});

describe('names', () => {
  test('another pipeline does not touch this log', async () => {
    fixture.commit(fixture.orders, 1);
    const sink = new ScriptedSink();
    const run = new Running({ lanes: [fixture.lane(sink)], name: 'store' });
    expect(await run.ended).toMatchObject({ code: 'E_IDENTITY', exitCode: 4 });
    expect(sink.calls).toEqual([]);
  });
});

describe('the log at its limit', () => {
  test('on_full: detach gives up the slowest sink, also one that has stopped, and goes on without it', async () => {
    await smallSegments(128 * 1024);
    const sink = new ScriptedSink();
    sink.faults.write = [new TailraceError({ code: 'E_SINK_CONFIG', message: 'No such topic.' })];
    const slow = fixture.lane(sink, { name: 'slow' });
    const fine = fixture.lane(new ScriptedSink(), { name: 'fine' });
    const run = new Running({ lanes: [slow, fine], onFull: 'detach' });
    await run.streaming();
    fixture.commit(fixture.orders, 1);
    await waitFor(() => slow.state === 'stopped');
    while (!fixture.log.full) await fixture.fill(20);
    await waitFor(() => slow.error?.code === 'E_LOG_FULL', { timeoutMs: 30_000 });
    await waitFor(() => !fixture.log.full, { timeoutMs: 20_000 });
    expect(fine.state).toBe('streaming');
    expect(run.errors()).toEqual(['E_SINK_CONFIG', 'E_LOG_FULL']);
  }, 60_000);

  test('a sink without a position gives way to those that have one', async () => {
    await smallSegments(128 * 1024);
    const blocked = new ScriptedSink();
    blocked.faults.write = ['hangs'];
    const screen = fixture.lane(blocked, { name: 'screen', positioned: false });
    const run = new Running({ lanes: [screen, fixture.lane(new ScriptedSink(), { name: 'fine' })] });
    await run.streaming();
    fixture.commit(fixture.orders, 1);
    while (!fixture.log.full) await fixture.fill(20);
    await waitFor(() => !fixture.log.full, { timeoutMs: 20_000 });
  }, 60_000);

  test('sinks that have everything are not given up, however full it is', async () => {
    await smallSegments(128 * 1024);
    const fine = fixture.lane(new ScriptedSink());
    const run = new Running({ lanes: [fine], onFull: 'detach' });
    await run.streaming();
    // One transaction fills the log; it is still open.
    const { log, audit } = fixture;
    log.begin({ commitLsn: fixture.lsn + 1000n, xid: 1, commitTimeUs: 1n });
    const body = Buffer.from('N\0\x01t\0\0\0\x011', 'latin1');
    while (!log.full) {
      log.append({ relation: audit, kind: 'insert', walLsn: 1n, body, start: 0, end: body.length });
    }
    await passed(12_500);
    expect(fine.state).toBe('streaming');
    log.rollback();
  }, 60_000);
});

describe('a log that cannot be written', () => {
  test('for good ends the run with exit 7, also when nothing comes from the server', async () => {
    const broken = new Proxy(fixture.log, {
      get: (log, key) =>
        key === 'failed'
          ? new TailraceError({ code: 'E_LOG_IO', message: 'fsync failed.' })
          : bound(log, key as keyof EventLog),
    });
    const run = new Running({ lanes: [fixture.lane(new ScriptedSink())], log: broken });
    expect(await run.ended).toMatchObject({ code: 'E_LOG_IO', exitCode: 7 });
  });

  test('while the disk is full keeps the connection and goes on by itself', async () => {
    const full = new TailraceError({ code: 'E_LOG_IO', message: 'No space.', retriable: true });
    let failing = true;
    const log = new Proxy(fixture.log, {
      get: (target, key) =>
        key === 'ready'
          ? () => (failing ? Promise.reject(full) : target.ready())
          : bound(target, key as keyof EventLog),
    });
    const run = new Running({ lanes: [fixture.lane(new ScriptedSink())], log });
    await run.streaming();
    let ready = false;
    void source.into?.ready()?.then(() => {
      ready = true;
    });
    await passed(1500);
    expect(ready).toBe(false);
    failing = false;
    await waitFor(() => ready);
    expect(source.streams).toBe(1);
  });
});

function bound(log: EventLog, key: keyof EventLog): unknown {
  const value: unknown = log[key];
  return typeof value === 'function' ? (value as () => unknown).bind(log) : value;
}

describe('a password that is refused', () => {
  const refused = (): TailraceError => new TailraceError({ code: 'E_AUTH', message: 'No.' });

  test('at the first start is final at once', async () => {
    source.faults.inspect.push(refused());
    const run = new Running({ lanes: [fixture.lane(new ScriptedSink())] });
    expect(await run.ended).toMatchObject({ code: 'E_AUTH', exitCode: 3 });
    expect(source.inspectedMs).toHaveLength(1);
  });

  test('later is tried again, at most once a second', async () => {
    const run = new Running({ lanes: [fixture.lane(new ScriptedSink())] });
    await run.streaming();
    source.faults.inspect.push(refused(), refused());
    const before = source.inspectedMs.length;
    source.cut();
    await waitFor(() => source.inspectedMs.length === before + 3, { timeoutMs: 20_000 });
    const [first = 0, second = 0, third = 0] = source.inspectedMs.slice(before);
    expect(Math.min(second - first, third - second)).toBeGreaterThanOrEqual(990);
    await run.streaming();
  }, 30_000);
});

describe('a new connection', () => {
  test('is decided on with the log in memory and the sinks as they are: what moved meanwhile is a gap', async () => {
    const lane = fixture.lane(new ScriptedSink());
    const run = new Running({ lanes: [lane] });
    await run.streaming();
    const end = fixture.commit(fixture.orders, 1);
    await waitFor(() => lane.durable?.endLsn === end);
    source.facts = { ...source.facts, slot: { ...SLOT, confirmedFlushLsn: end + 5000n } };
    source.cut();
    expect(await run.ended).toMatchObject({ code: 'E_GAP', exitCode: 4 });
  });

  test('does not begin a new log that a stopped sink still needs', async () => {
    const sink = new ScriptedSink();
    const slow = fixture.lane(sink, { name: 'slow' });
    const ahead = sinkAt(500_000n);
    const run = new Running({ lanes: [slow, fixture.lane(ahead, { name: 'ahead' })] });
    await run.streaming();
    const end = fixture.commit(fixture.orders, 1);
    await waitFor(() => slow.durable?.endLsn === end);
    sink.faults.write = [new TailraceError({ code: 'E_SINK_CONFIG', message: 'No such topic.' })];
    fixture.commit(fixture.orders, 2);
    await waitFor(() => slow.state === 'stopped');
    source.facts = { ...source.facts, slot: { ...SLOT, confirmedFlushLsn: 400_000n } };
    source.cut();
    expect(await run.ended).toMatchObject({ code: 'E_GAP' });
    expect(fixture.log.facts.startLsn).toBe(1000n);
  });

  test('begins a new log where the slot is past it and every sink as well; lanes go on in it', async () => {
    const sink = sinkAt(50_048n);
    const lane = fixture.lane(sink);
    const run = new Running({ lanes: [lane] });
    await run.streaming();
    source.facts = { ...source.facts, slot: { ...SLOT, confirmedFlushLsn: 50_000n } };
    source.cut();
    await waitFor(() => source.streams === 2, { timeoutMs: 20_000 });
    fixture.lsn = 60_000n;
    const end = fixture.commit(fixture.orders, 7);
    await waitFor(() => lane.durable?.endLsn === end);
    expect(sink.stored.rows).toEqual(['orders insert 7']);
  }, 30_000);
});

describe('an end', () => {
  test('another instance that takes over a sink ends the run with exit 6', async () => {
    const sink = new ScriptedSink();
    sink.faults.write = [new TailraceError({ code: 'E_FENCED', message: 'Another instance.' })];
    const run = new Running({
      lanes: [fixture.lane(sink), fixture.lane(new ScriptedSink(), { name: 'other' })],
    });
    await run.streaming();
    fixture.commit(fixture.orders, 1);
    expect(await run.ended).toMatchObject({ code: 'E_FENCED', exitCode: 6 });
  });

  test('a drain before anything is there to deliver is complete', async () => {
    source.facts = { ...source.facts, slot: { ...SLOT, active: true } };
    const run = new Running({ lanes: [fixture.lane(new ScriptedSink())] });
    await waitFor(() => source.inspectedMs.length > 1);
    expect(await run.stop()).toBeUndefined();
  });

  test('a drain that is done has told the server before the stream ends', async () => {
    const lane = fixture.lane(new ScriptedSink());
    const run = new Running({ lanes: [lane] });
    await run.streaming();
    const end = fixture.commit(fixture.orders, 1);
    expect(await run.stop()).toBeUndefined();
    expect(source.confirmed.at(-1)).toBe(end);
  });

  test('a sink whose connection does not let itself be closed does not hold the process', async () => {
    const sink = new ScriptedSink();
    sink.close = () => new Promise(() => {});
    const run = new Running({ lanes: [fixture.lane(sink)] });
    await run.streaming();
    expect(await run.stop()).toBeUndefined();
  });
});
