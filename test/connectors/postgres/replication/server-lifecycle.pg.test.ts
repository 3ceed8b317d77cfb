import { chownSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Catalog } from '../../../../connectors/postgres/catalog/catalog.ts';
import type { PostgresSourceConfig } from '../../../../connectors/postgres/config.ts';
import { resolveConnection } from '../../../../connectors/postgres/connection/connection-settings.ts';
import { SqlSession } from '../../../../connectors/postgres/connection/sql-session.ts';
import { ReplicationStream } from '../../../../connectors/postgres/replication/replication-stream.ts';
import { ServerWatch } from '../../../../connectors/postgres/replication/server-watch.ts';
import { inspectSource } from '../../../../connectors/postgres/setup/inspect.ts';
import { systemClock } from '../../../../src/clock.ts';
import { TablePattern } from '../../../../src/config/table-pattern.ts';
import { asTailraceError, type TailraceError } from '../../../../src/errors/tailrace-error.ts';
import { type Lsn, parseLsn } from '../../../../src/events/lsn.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import type { SourceEnd } from '../../../../src/pipeline/source.ts';
import { CertificateAuthority } from '../../../support/certificates.ts';
import { type LocalPostgres, startLocalPostgres } from '../../../support/local-postgres.ts';
import { waitFor } from '../../../support/wait.ts';
import { describeEvent, RecordingLog } from '../recording-log.ts';

// A server of its own: these tests stop it.
let server: LocalPostgres;
beforeAll(async () => {
  server = await startLocalPostgres();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function sql(...statements: readonly string[]): Promise<readonly Record<string, string>[]> {
  const client = new Client({ connectionString: server.url });
  client.on('error', () => {});
  await client.connect();
  try {
    let rows: readonly Record<string, string>[] = [];
    for (const statement of statements) ({ rows } = await client.query<Record<string, string>>(statement));
    return rows;
  } finally {
    await client.end();
  }
}

/** A table, a publication and a slot of one name; returns where the slot begins. */
async function prepare(name: string): Promise<Lsn> {
  const [row] = await sql(
    `CREATE TABLE ${name} (id int PRIMARY KEY)`,
    `CREATE PUBLICATION ${name} FOR TABLE ${name}`,
    `SELECT lsn FROM pg_create_logical_replication_slot('${name}', 'pgoutput')`,
  );
  return parseLsn(row?.['lsn'] ?? '');
}

interface Running {
  readonly outcome: Promise<SourceEnd | TailraceError>;
  readonly stream: ReplicationStream;
  stop(): Promise<void>;
}

/** Streams into the log; everything it has is confirmed, as by a pipeline with a quick sink. */
function start(name: string, log: RecordingLog, given: Partial<PostgresSourceConfig> = {}): Running {
  const settings = resolveConnection({ url: server.url, ...given }, {});
  const abort = new AbortController();
  const session = new SqlSession({ settings, purpose: 'watch' });
  const watch = new ServerWatch({ session, slot: name, clock: systemClock, onFailed: () => {} });
  const rules = [
    { pattern: TablePattern.parse('*.*'), columns: undefined, mappings: [], where: 'tailrace.yaml:1:1' },
  ];
  const catalog = new Catalog({ settings, publication: name, rules });
  const stream = new ReplicationStream({
    settings,
    slot: name,
    publication: name,
    stream: { from: log.appended, into: log, signal: abort.signal },
    catalog: {
      relation: (message, signal) => catalog.relation(message, signal),
      slot: async (signal) => (await inspectSource({ settings, slot: name, signal })).slot,
      slotHolder: (signal) => watch.slotHolder(signal),
    },
    confirmable: () => log.synced,
    clock: systemClock,
    logger: silentLogger,
  });
  log.onSynced(() => stream.moved());
  const outcome = stream
    .run()
    .catch((error: unknown) => asTailraceError(error))
    .finally(() => {
      void catalog.close();
      void session.close();
    });
  return {
    outcome,
    stream,
    stop: async () => {
      abort.abort();
      await outcome;
    },
  };
}

async function events(log: RecordingLog, count: number): Promise<readonly string[]> {
  await waitFor(() => log.events.length >= count, { describe: `${count} events` });
  return log.events.map((event) => describeEvent(event));
}

test('a fast shutdown waits for us to confirm, gets it, and ends the stream in order', async () => {
  const log = new RecordingLog(await prepare('shutdown'));
  const running = start('shutdown', log);
  await sql('INSERT INTO shutdown VALUES (1)');
  await events(log, 1);
  const startedMs = performance.now();
  await server.stop('fast');
  expect(performance.now() - startedMs).toBeLessThan(10_000);
  expect(await running.outcome).toBe('server-closed');
  await server.start();
  const [slot] = await sql(
    `SELECT confirmed_flush_lsn AS lsn FROM pg_replication_slots WHERE slot_name = 'shutdown'`,
  );
  // The server saw it: it would have waited otherwise.
  expect(parseLsn(slot?.['lsn'] ?? '')).toBe(log.appended);
  const again = start('shutdown', log);
  await sql('INSERT INTO shutdown VALUES (2)');
  expect(await events(log, 2)).toEqual(['insert public.shutdown -> (1)', 'insert public.shutdown -> (2)']);
  await again.stop();
});

test('a killed server is retriable; what it sends again after recovery is dropped', async () => {
  const log = new RecordingLog(await prepare('crash'));
  const running = start('crash', log);
  await sql('INSERT INTO crash VALUES (1)', 'CHECKPOINT');
  // The first position told after a checkpoint may be kept on disk, those behind it are not.
  for (const id of [2, 3, 4]) {
    await sql(`INSERT INTO crash VALUES (${id})`);
    await events(log, id);
    await waitFor(() => running.stream.confirmed === log.appended, { describe: 'the position to be told' });
  }
  await server.kill9();
  expect(await running.outcome).toMatchObject({ code: 'E_CONNECT', retriable: true });
  // Its children take a moment to notice, and hold its shared memory until then.
  await waitFor(async () => server.start().then(() => true), { describe: 'the server', timeoutMs: 20_000 });
  // The slot is where the last checkpoint saw it, behind what it had been told.
  const [slot] = await sql(
    `SELECT confirmed_flush_lsn AS lsn FROM pg_replication_slots WHERE slot_name = 'crash'`,
  );
  expect(parseLsn(slot?.['lsn'] ?? '')).toBeLessThan(log.appended);
  const again = start('crash', log);
  await sql('INSERT INTO crash VALUES (5)');
  await events(log, 5);
  expect(log.events.map((event) => describeEvent(event))).toEqual(
    [1, 2, 3, 4, 5].map((id) => `insert public.crash -> (${id})`),
  );
  await again.stop();
});

test('a slot whose WAL the server has removed is lost, finally', async () => {
  const log = new RecordingLog(await prepare('lost'));
  await sql(`ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`, 'SELECT pg_reload_conf()');
  try {
    for (let i = 0; i < 4; i++) await sql(`INSERT INTO lost VALUES (${i})`, 'SELECT pg_switch_wal()');
    await sql('CHECKPOINT');
    await waitFor(
      async () =>
        (await sql(`SELECT wal_status AS status FROM pg_replication_slots WHERE slot_name = 'lost'`))[0]?.[
          'status'
        ] === 'lost',
      { describe: 'the slot to be lost' },
    );
    const error = (await start('lost', log).outcome) as TailraceError;
    expect(error).toMatchObject({ code: 'E_SLOT_LOST', retriable: false });
    expect(error.message).toContain('"lost" (wal_removed)');
    expect(error.fix).toContain('max_slot_wal_keep_size');
  } finally {
    await sql('ALTER SYSTEM RESET max_slot_wal_keep_size', 'SELECT pg_reload_conf()');
  }
});

test('an immediate shutdown is retriable', async () => {
  const log = new RecordingLog(await prepare('immediate'));
  const running = start('immediate', log);
  await sql('INSERT INTO immediate VALUES (1)');
  await events(log, 1);
  await server.stop('immediate');
  expect(await running.outcome).toMatchObject({ code: 'E_CONNECT', retriable: true });
  await server.start();
});

test('a server that has nothing to say is asked, and the connection lives', async () => {
  // Nobody else is here: what is confirmed as it comes leaves the server no reason of its own to speak.
  await server.restart('fast', { wal_sender_timeout: '1s' });
  const log = new RecordingLog(await prepare('silent'));
  const running = start('silent', log);
  await sql('INSERT INTO silent VALUES (1)');
  await events(log, 1);
  const idleMs = performance.now();
  await waitFor(() => performance.now() - idleMs > 4000, { describe: 'four times the time-out' });
  expect(running.stream.connected).toBe(true);
  await sql('INSERT INTO silent VALUES (2)');
  await events(log, 2);
  await running.stop();
  expect(await running.outcome).toBe('aborted');
});

test('over TLS the stream is held, goes on, confirms and stops as over a plain connection', async () => {
  const authority = new CertificateAuthority();
  const { certificate, key } = authority.issue({ commonName: 'db', hosts: ['127.0.0.1'] });
  const { uid, gid } = statSync(server.dataDir);
  for (const [file, text] of [
    ['server.crt', certificate],
    ['server.key', key],
  ] as const) {
    writeFileSync(join(server.dataDir, file), text, { mode: 0o600 });
    chownSync(join(server.dataDir, file), uid, gid);
  }
  await server.restart('fast', { ssl: true, wal_sender_timeout: '3s' });
  const log = new RecordingLog(await prepare('encrypted'));
  const tls = { ssl: { mode: 'verify-full', ca: authority.certificate } } as const;
  const running = start('encrypted', log, tls);
  await sql('INSERT INTO encrypted VALUES (0)');
  await events(log, 1);
  const [using] = await sql(`SELECT s.ssl::text FROM pg_stat_ssl s JOIN pg_stat_replication r USING (pid)`);
  expect(using?.['ssl']).toBe('true');
  log.close();
  const closedMs = performance.now();
  await sql('INSERT INTO encrypted SELECT generate_series(1, 20000)');
  await waitFor(() => performance.now() - closedMs > 2500, {
    describe: 'more than twice wal_sender_timeout',
  });
  expect(log.transactions).toHaveLength(1);
  log.open();
  await events(log, 20_001);
  await waitFor(() => running.stream.confirmed === log.appended, { describe: 'the position to be told' });
  await running.stop();
  expect(await running.outcome).toBe('aborted');
  await waitFor(
    async () =>
      (await sql(`SELECT FROM pg_replication_slots WHERE slot_name = 'encrypted' AND NOT active`)).length ===
      1,
    { describe: 'the slot to be free' },
  );
});
