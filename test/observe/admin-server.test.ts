import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AdminServer } from '../../src/observe/admin-server.ts';
import { readiness } from '../../src/observe/health.ts';
import { PrometheusMetrics } from '../../src/observe/prometheus-metrics.ts';
import { type PipelineStatus, type SinkStatus, statusMetrics } from '../../src/observe/status.ts';

const SINK: SinkStatus = {
  name: 'search',
  type: 'elasticsearch',
  state: 'streaming',
  position: '0/16B3748:1',
  delivered: '0/16B3778',
  lag_bytes: 0,
  lag_seconds: 0,
  stalled_seconds: 0,
  events: 10,
  records: 12,
  events_per_second: 0,
  retries: 0,
  dead_letters: 0,
};

const STATUS: PipelineStatus = {
  pipeline: 'shop',
  version: '0.1.0',
  state: 'streaming',
  started_at: '2026-01-01T00:00:00.000Z',
  source: {
    slot: 'tailrace_shop',
    connected: true,
    wal_end: '0/1',
    received: '0/1',
    confirmed: '0/1',
    lag_bytes: 7,
    retained_bytes: 4096,
    server_keeps_all: true,
  },
  event_log: {
    dir: '/d',
    appended: '0/1',
    synced: '0/1',
    begins_after: '0/0',
    bytes: 5,
    segments: 1,
    full: false,
  },
  sinks: [SINK],
};

let status: PipelineStatus;
let metrics: PrometheusMetrics;
let server: AdminServer;

beforeEach(async () => {
  status = STATUS;
  metrics = new PrometheusMetrics({ process: false });
  const mirror = statusMetrics(metrics);
  metrics.beforeScrape(() => mirror(status));
  server = await AdminServer.listen({
    host: '127.0.0.1',
    port: 0,
    token: 'a-token-of-the-lock-file',
    status: () => status,
    metrics,
    tail: (query, response, signal) =>
      new Promise((resolve) => {
        response.write(`{"table":"${query.get('table')}"}\n`);
        signal.addEventListener('abort', () => {
          response.end();
          resolve();
        });
      }),
  });
});

afterEach(() => server.close());

describe('the admin server', () => {
  test('tells the status, without anything secret', async () => {
    const response = await fetch(`${server.url}/status`);
    expect(await response.json()).toEqual(JSON.parse(JSON.stringify(STATUS)));
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
    expect(response.headers.get('cache-control')).toBe('no-store');
  });

  test('mirrors it in Prometheus metrics, fresh at every scrape', async () => {
    const scrape = async (): Promise<string> => (await fetch(`${server.url}/metrics`)).text();
    expect(await scrape()).toContain('tailrace_slot_retained_bytes 4096');
    status = { ...STATUS, sinks: [{ ...SINK, lag_bytes: 42, state: 'retrying' }] };
    const text = await scrape();
    expect(text).toContain('tailrace_sink_lag_bytes{sink="search"} 42');
    expect(text).toContain('tailrace_sink_up{sink="search"} 0');
    expect(text).toContain('tailrace_slot_safe_wal_size_bytes +Inf');
  });

  test('is alive while it answers and ready while everything moves', async () => {
    expect((await fetch(`${server.url}/livez`)).status).toBe(200);
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
    status = { ...STATUS, sinks: [{ ...SINK, state: 'stopped', error: { code: 'E_POISON', message: 'm' } }] };
    const response = await fetch(`${server.url}/readyz`);
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({ ok: false, reasons: ['sink search is stopped (E_POISON)'] });
    expect((await fetch(`${server.url}/livez`)).status).toBe(200);
  });

  test('shows rows only to who has the token', async () => {
    expect((await fetch(`${server.url}/tail`)).status).toBe(401);
    expect((await fetch(`${server.url}/tail`, { headers: { authorization: 'Bearer wrong' } })).status).toBe(
      401,
    );
    const response = await fetch(`${server.url}/tail?table=public.t`, {
      headers: { authorization: 'Bearer a-token-of-the-lock-file' },
    });
    const reader = response.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('{"table":"public.t"}\n');
    // Closing ends a live answer in order.
    await server.close();
    expect((await reader?.read())?.done).toBe(true);
  });

  test('answers nothing else', async () => {
    expect((await fetch(`${server.url}/`)).status).toBe(404);
    expect((await fetch(`${server.url}/status`, { method: 'POST', body: 'x' })).status).toBe(405);
  });

  test('names an address it cannot have', async () => {
    const port = Number(new URL(server.url).port);
    const second = AdminServer.listen({
      host: '127.0.0.1',
      port,
      token: 't',
      status: () => STATUS,
      metrics,
      tail: async () => {},
    });
    await expect(second).rejects.toMatchObject({
      code: 'E_USAGE',
      message: expect.stringContaining(String(port)),
    });
  });
});

describe('readiness', () => {
  const reasons = (given: PipelineStatus): readonly string[] => {
    const health = readiness(given);
    return health.ok ? [] : health.reasons;
  };

  test('names what is not in order', () => {
    expect(reasons(STATUS)).toEqual([]);
    expect(reasons({ ...STATUS, state: 'reconnecting' })).toEqual(['pipeline is reconnecting']);
    expect(reasons({ ...STATUS, source: { ...STATUS.source, connected: false } })).toEqual([
      'source is not connected',
    ]);
    expect(reasons({ ...STATUS, event_log: { ...STATUS.event_log, full: true } })).toEqual([
      'event log is at its limit',
    ]);
  });

  test('names a log that cannot be written', () => {
    const error = { code: 'E_LOG_IO', message: 'No space.' } as const;
    expect(reasons({ ...STATUS, event_log: { ...STATUS.event_log, error } })).toEqual([
      'event log cannot be written (E_LOG_IO)',
    ]);
  });

  test('notices a sink that says it streams and does not move', () => {
    const sinkWith = (given: Partial<SinkStatus>): readonly string[] =>
      reasons({ ...STATUS, sinks: [{ ...SINK, lag_bytes: 1, ...given }] });
    expect(sinkWith({ stalled_seconds: 119 })).toEqual([]);
    expect(sinkWith({ stalled_seconds: 121 })).toEqual(['sink search has not moved for 121 s']);
    // It catches up.
    expect(sinkWith({ lag_seconds: 9999, stalled_seconds: 1 })).toEqual([]);
  });
});
