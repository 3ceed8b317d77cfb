import { describe, expect, test } from 'vitest';
import { AlarmLog, alarmsOf } from '../../src/app/alarms.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import type { PipelineStatus, SinkStatus } from '../../src/observe/status.ts';

function sink(name: string, lag_bytes: number): SinkStatus {
  return {
    name,
    type: 'file',
    state: 'streaming',
    delivered: '0/0',
    lag_bytes,
    lag_seconds: 0,
    stalled_seconds: 0,
    events: 0,
    records: 0,
    events_per_second: 0,
    retries: 0,
    dead_letters: 0,
  };
}

function status(
  source: Partial<PipelineStatus['source']> = {},
  log: Partial<PipelineStatus['event_log']> = {},
): PipelineStatus {
  return {
    pipeline: 'shop',
    version: '0',
    state: 'streaming',
    started_at: '2026-01-01T00:00:00.000Z',
    source: {
      slot: 'tailrace_shop',
      connected: true,
      wal_end: '0/0',
      received: '0/0',
      confirmed: '0/0',
      lag_bytes: 0,
      server_keeps_all: true,
      ...source,
    },
    event_log: {
      dir: '/data',
      appended: '0/0',
      synced: '0/0',
      begins_after: '0/0',
      bytes: 0,
      segments: 1,
      full: false,
      ...log,
    },
    sinks: [sink('fine', 0), sink('slow', 10)],
  };
}

const ids = (given: PipelineStatus): readonly string[] => alarmsOf(given).map(({ id }) => id);

describe('alarms', () => {
  test.each([
    ['nothing is wrong', status(), []],
    ['no limit on the server', status({ retained_bytes: 1e12 }), []],
    ['a quarter of the limit is left', status({ safe_wal_size_bytes: 25, retained_bytes: 75 }), []],
    ['less is left', status({ safe_wal_size_bytes: 24, retained_bytes: 76 }), ['safe-wal-size']],
    ['it is beyond the limit', status({ safe_wal_size_bytes: -5, retained_bytes: 105 }), ['safe-wal-size']],
    ['the log is full', status({}, { full: true }), ['event-log-full']],
    ['the budget is spent', status({ server_keeps_all: false }), ['wal-budget']],
  ])('%s', (_, given, expected) => {
    expect(ids(given)).toEqual(expected);
  });

  test('name the sink that is furthest behind', () => {
    expect(alarmsOf(status({}, { full: true }))[0]?.message).toContain('sink slow');
  });

  test('are told once, and again when they come back', () => {
    const told: string[] = [];
    const log = new AlarmLog({
      ...silentLogger,
      warn: (_, message) => told.push(message),
      info: (_, message) => told.push(message),
    });
    for (const full of [true, true, false, false, true]) log.look(status({}, { full }));
    expect(told).toHaveLength(3);
    expect(told[1]).toBe('alarm event-log-full is over');
  });
});
