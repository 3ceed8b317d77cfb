import { describe, expect, test } from 'vitest';
import type { LogFacts, LogIdentity } from '../../src/event-log/contract.ts';
import {
  decideStart,
  refuseSink,
  type SinkFacts,
  type StartDecision,
} from '../../src/pipeline/decide-start.ts';
import type { SlotFacts, SourceFacts } from '../../src/pipeline/source.ts';

const SLOT: SlotFacts = {
  name: 'tailrace_shop',
  plugin: 'pgoutput',
  database: 'shop',
  confirmedFlushLsn: 1000n,
  restartLsn: 900n,
  active: false,
  walStatus: 'reserved',
};

const FACTS: SourceFacts = {
  systemIdentifier: '7',
  databaseOid: 5,
  database: 'shop',
  timeline: 1,
  history: [],
  walEnd: 100_000n,
  serverVersion: 180_004,
  walSenderTimeoutMs: 60_000,
  slot: SLOT,
};

const LOG: LogFacts = {
  identity: {
    pipeline: 'shop',
    database: '7/5',
    slot: 'tailrace_shop',
    generation: 1,
    timeline: 1,
    slotCreated: true,
  },
  first: { commitLsn: 500n, seq: 1 },
  startLsn: 400n,
  endLsn: 2000n,
  last: { commitLsn: 1990n, seq: 3 },
  bytes: 100,
  segments: 1,
};

const EMPTY_LOG: LogFacts = {
  startLsn: 0n,
  endLsn: 0n,
  last: { commitLsn: 0n, seq: 0 },
  bytes: 0,
  segments: 0,
};

function at(endLsn: bigint, name = 'search', source = '7/5#1'): SinkFacts {
  return {
    name,
    state: 'positioned',
    checkpoint: { position: { commitLsn: endLsn - 8n, seq: 1 }, endLsn, source },
  };
}

function decide(given: {
  facts?: Partial<SourceFacts>;
  slot?: Partial<SlotFacts> | null;
  log?: LogFacts;
  sinks?: readonly SinkFacts[];
  slotName?: string;
}): StartDecision {
  const { slot: _, ...withoutSlot } = FACTS;
  const facts = { ...withoutSlot, ...given.facts };
  return decideStart({
    facts: given.slot === null ? facts : { ...facts, slot: { ...SLOT, ...given.slot } },
    pipeline: 'shop',
    slotName: given.slotName ?? 'tailrace_shop',
    log: given.log ?? LOG,
    sinks: given.sinks ?? [at(1500n)],
  });
}

function codeOf(decision: StartDecision): string {
  return decision.kind === 'refuse' ? decision.code : decision.kind;
}

describe('identity', () => {
  test.each([
    ['another cluster', { facts: { systemIdentifier: '8' } }],
    ['another database of the cluster', { facts: { databaseOid: 6 } }],
    ['a sink fed from elsewhere', { sinks: [at(1500n, 'search', '9/9#1')] }],
    ['a sink fed from elsewhere, log lost', { log: EMPTY_LOG, sinks: [at(1500n, 'search', '9/9#1')] }],
    ['a slot of another plugin', { slot: { plugin: 'wal2json' } }],
    ['a physical slot', { slot: { plugin: undefined, database: undefined } }],
    ['a slot of another database', { slot: { database: 'other' } }],
  ])('refuses %s', (_, given) => {
    expect(codeOf(decide(given))).toBe('E_IDENTITY');
  });
});

describe('slot missing', () => {
  test('is made when nobody holds a position', () => {
    expect(decide({ slot: null, log: EMPTY_LOG, sinks: [{ name: 'search', state: 'new' }] })).toEqual({
      kind: 'create-slot',
    });
  });

  test('is made when the process died between the intent and the slot', () => {
    const intent = {
      ...EMPTY_LOG,
      identity: { ...(LOG.identity as NonNullable<LogFacts['identity']>), slotCreated: false },
    };
    expect(codeOf(decide({ slot: null, log: intent, sinks: [] }))).toBe('create-slot');
  });

  test.each([
    ['the log has a position', { log: LOG, sinks: [] }],
    ['the log is empty but had a slot', { log: { ...EMPTY_LOG, identity: LOG.identity }, sinks: [] }],
    ['a sink has a position', { log: EMPTY_LOG, sinks: [at(1500n)] }],
  ])('is refused when %s', (_, given) => {
    expect(codeOf(decide({ ...given, slot: null }))).toBe('E_SLOT_MISSING');
  });
});

describe('slot invalidated', () => {
  test.each([
    ['wal_status', { walStatus: 'lost' }, 'max_slot_wal_keep_size'],
    ['idle_timeout', { invalidationReason: 'idle_timeout' }, 'idle_replication_slot_timeout'],
    ['wal_level_insufficient', { invalidationReason: 'wal_level_insufficient' }, 'wal_level'],
    ['rows_removed', { invalidationReason: 'rows_removed' }, 'hot_standby_feedback'],
  ])('by %s is refused with the setting that prevents it', (_, slot, setting) => {
    const decision = decide({ slot });
    expect(decision).toMatchObject({
      kind: 'refuse',
      code: 'E_SLOT_LOST',
      fix: expect.stringContaining(setting),
    });
  });
});

describe('another timeline', () => {
  const promoted = { timeline: 2, history: [{ timeline: 1, switchLsn: 2000n }] };

  test('goes on when everything held is from before the switch', () => {
    expect(decide({ facts: promoted })).toMatchObject({ kind: 'resume', from: 2000n });
  });

  test('is refused when the log is past the switch', () => {
    expect(codeOf(decide({ facts: { ...promoted, history: [{ timeline: 1, switchLsn: 1999n }] } }))).toBe(
      'E_DIVERGED',
    );
  });

  test('is refused when one sink is past the switch', () => {
    expect(codeOf(decide({ facts: promoted, sinks: [at(1500n), at(2001n, 'events')] }))).toBe('E_DIVERGED');
  });

  test('is refused when the server does not know the timeline that was read', () => {
    expect(codeOf(decide({ facts: { timeline: 3, history: [{ timeline: 2, switchLsn: 9000n }] } }))).toBe(
      'E_DIVERGED',
    );
  });
});

describe('beyond the end of the WAL', () => {
  test('a sink is refused', () => {
    expect(codeOf(decide({ sinks: [at(100_001n)] }))).toBe('E_DIVERGED');
    expect(codeOf(decide({ sinks: [at(100_000n)] }))).toBe('resume');
  });

  test('the log is refused', () => {
    expect(codeOf(decide({ facts: { walEnd: 1999n }, sinks: [at(1500n)] }))).toBe('E_DIVERGED');
  });
});

test('a slot in use is waited for', () => {
  expect(decide({ slot: { active: true, activePid: 42 } })).toEqual({ kind: 'wait-for-slot', pid: 42 });
});

describe('a log of other names', () => {
  test('another slot is refused by name, also when the slot of the new name would fit', () => {
    expect(decide({ slotName: 'other' })).toMatchObject({
      code: 'E_IDENTITY',
      message: expect.stringContaining('slot tailrace_shop'),
      fix: expect.stringContaining('source.slot'),
    });
  });

  test('another pipeline is refused: the sinks know this one only', () => {
    const identity = { ...(LOG.identity as LogIdentity), pipeline: 'store' };
    expect(decide({ log: { ...LOG, identity } })).toMatchObject({
      code: 'E_IDENTITY',
      message: expect.stringContaining('pipeline store'),
    });
  });

  test('an intent that came to nothing binds nobody', () => {
    const identity = { ...(LOG.identity as LogIdentity), slot: 'misspelt', slotCreated: false };
    expect(decide({ log: { ...EMPTY_LOG, identity }, slot: null, sinks: [] })).toEqual({
      kind: 'create-slot',
    });
  });
});

describe('one sink, whenever it tells where it stands', () => {
  const refusal = (sink: SinkFacts, facts: Partial<SourceFacts> = {}): string | undefined =>
    refuseSink({
      facts: { ...FACTS, ...facts },
      pipeline: 'shop',
      slotName: 'tailrace_shop',
      log: LOG,
      sinks: [sink],
    })?.code;

  test.each([
    ['inside the log', at(1500n), undefined],
    ['at its beginning', at(400n), undefined],
    ['ahead of it', at(5000n), undefined],
    ['behind its beginning', at(399n), 'E_SINK_BEHIND'],
    ['beyond the WAL of the server', at(100_001n), 'E_DIVERGED'],
    ['in another database', at(1500n, 'search', '9/9#1'), 'E_IDENTITY'],
    ['nowhere', { name: 'search', state: 'new' } as const, undefined],
  ])('%s', (_, sink, code) => {
    expect(refusal(sink)).toBe(code);
  });
});

describe('log there, slot not past its end', () => {
  test('resumes at the end of the log', () => {
    expect(decide({})).toEqual({ kind: 'resume', from: 2000n });
    expect(decide({ slot: { confirmedFlushLsn: 2000n } })).toMatchObject({ kind: 'resume' });
  });

  test('a sink ahead of the log is normal: it reads the tail before it is on disk', () => {
    expect(decide({ sinks: [at(5000n)] })).toEqual({ kind: 'resume', from: 2000n });
  });

  test('an unreachable sink changes nothing', () => {
    expect(decide({ sinks: [{ name: 'search', state: 'unreachable' }] })).toMatchObject({ kind: 'resume' });
  });
});

describe('log there, slot past its end', () => {
  const slot = { confirmedFlushLsn: 2001n };

  test('begins anew when every sink has passed the slot', () => {
    expect(decide({ slot, sinks: [at(2001n), at(9000n, 'events')] })).toMatchObject({
      kind: 'restart-log',
      from: 2001n,
    });
  });

  test('is a gap when one sink has not, and says how large', () => {
    const decision = decide({ slot, sinks: [at(2000n), at(9000n, 'events')] });
    expect(decision).toMatchObject({
      kind: 'refuse',
      code: 'E_GAP',
      message: expect.stringContaining('1 bytes'),
    });
  });

  test('waits for a sink that cannot be asked: the log may hold what it needs', () => {
    expect(decide({ slot, sinks: [at(9000n), { name: 'search', state: 'unreachable' }] })).toEqual({
      kind: 'wait-for-sinks',
      sinks: ['search'],
    });
  });
});

describe('log lost or empty', () => {
  test('resumes by itself when every sink is at or past the slot', () => {
    expect(decide({ log: EMPTY_LOG, sinks: [at(1000n), at(4000n, 'events')] })).toMatchObject({
      kind: 'restart-log',
      from: 1000n,
    });
  });

  test('is refused for the sinks that are behind the slot, by name', () => {
    const decision = decide({ log: EMPTY_LOG, sinks: [at(999n), at(4000n, 'events')] });
    expect(decision).toMatchObject({
      kind: 'refuse',
      code: 'E_SINK_BEHIND',
      fix: expect.stringContaining('--without search'),
    });
    expect((decision as { fix: string }).fix).not.toContain('events');
  });

  test('a slot that nobody has confirmed stands at its restart position', () => {
    expect(decide({ log: EMPTY_LOG, slot: { confirmedFlushLsn: undefined }, sinks: [] })).toMatchObject({
      kind: 'restart-log',
      from: 900n,
    });
  });
});
