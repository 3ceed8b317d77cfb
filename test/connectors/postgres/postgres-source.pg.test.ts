import { Client, type ClientConfig } from 'pg';
import { expect, test } from 'vitest';
import { type PostgresSourceConfig, postgresSource } from '../../../connectors/postgres/config.ts';
import { createPostgresSource } from '../../../connectors/postgres/postgres-source.ts';
import { systemClock } from '../../../src/clock.ts';
import type { TableRule } from '../../../src/config/pipeline-config.ts';
import { TablePattern } from '../../../src/config/table-pattern.ts';
import { asTailraceError, type TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { Lsn } from '../../../src/events/lsn.ts';
import type { Logger } from '../../../src/observe/logger.ts';
import { noMetrics } from '../../../src/observe/metrics.ts';
import type { Source, SourceEnd } from '../../../src/pipeline/source.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';
import { waitFor } from '../../support/wait.ts';
import { describeEvent, RecordingLog } from './recording-log.ts';

const NEVER = new AbortController().signal;

/** The role owns the table, as one that manages its publication does. */
const SETUP = (role: string): string =>
  `CREATE TABLE orders (id int PRIMARY KEY, card text, v text); ALTER TABLE orders OWNER TO ${role};
   CREATE TABLE audit (id int PRIMARY KEY)`;

class Harness implements AsyncDisposable {
  readonly database: TestDatabase;
  readonly source: Source;
  readonly messages: string[] = [];
  readonly #streams: AbortController[] = [];
  readonly #ends: Promise<unknown>[] = [];

  private constructor(database: TestDatabase, given: GivenConfig) {
    this.database = database;
    const config = postgresSource.parse({
      url: given.url?.(database) ?? database.url,
      slot: `${database.name}_slot`,
      publication: database.name,
      ...given.source,
    }) satisfies PostgresSourceConfig;
    this.source = createPostgresSource(config, {
      pipeline: 'shop',
      rules: given.rules ?? [rule('public.orders', given.exclude)],
      env: { PGOPTIONS: given.session },
      clock: systemClock,
      logger: this.#logger(),
      metrics: noMetrics,
    });
  }

  static async open(given: GivenConfig = {}): Promise<Harness> {
    const database = await createTestDatabase({ create: true });
    await database.query(SETUP(database.role));
    return new Harness(database, given);
  }

  /** Publication and slot made; returns the slot's beginning. */
  async prepared(): Promise<Lsn> {
    await this.source.prepare(NEVER);
    return this.source.createSlot(NEVER);
  }

  stream(into: RecordingLog): { readonly outcome: Promise<SourceEnd | TailraceError>; abort(): void } {
    const abort = new AbortController();
    const outcome = this.source
      .stream({ from: into.appended, into, signal: abort.signal })
      .catch((error: unknown) => asTailraceError(error));
    this.#streams.push(abort);
    this.#ends.push(outcome);
    return { outcome, abort: () => abort.abort() };
  }

  async slot(): Promise<{ readonly confirmed: string; readonly active: boolean } | undefined> {
    const { rows } = await this.database.query<{ confirmed: string; active: boolean }>(
      'SELECT confirmed_flush_lsn AS confirmed, active FROM pg_replication_slots WHERE slot_name = $1',
      [`${this.database.name}_slot`],
    );
    return rows[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#streams) stream.abort();
    await Promise.allSettled(this.#ends);
    await this.source.close();
    await this.database[Symbol.asyncDispose]();
  }

  #logger(): Logger {
    const note = (_: object, message: string): void => void this.messages.push(message);
    const logger: Logger = { debug: note, info: note, warn: note, error: note, child: () => logger };
    return logger;
  }
}

interface GivenConfig {
  readonly source?: Readonly<Record<string, unknown>> | undefined;
  readonly exclude?: readonly string[] | undefined;
  readonly rules?: readonly TableRule[] | undefined;
  readonly session?: string | undefined;
  readonly url?: ((database: TestDatabase) => string) | undefined;
}

function rule(pattern: string, exclude?: readonly string[]): TableRule {
  return {
    pattern: TablePattern.parse(pattern),
    columns: exclude === undefined ? undefined : { exclude },
    mappings: [],
    where: 'tailrace.yaml:9:3',
  };
}

function events(log: RecordingLog): readonly string[] {
  return log.events.map((event) => describeEvent(event));
}

test('from nothing to events, confirmed, and on from there after a restart', async () => {
  await using harness = await Harness.open();
  const { database, source } = harness;
  expect((await source.inspect(NEVER)).slot).toBeUndefined();
  const from = await harness.prepared();
  const facts = await source.inspect(NEVER);
  expect(facts.slot).toMatchObject({ plugin: 'pgoutput', database: database.name, active: false });
  const log = new RecordingLog(from);
  const first = harness.stream(log);
  await database.query(`INSERT INTO orders VALUES (1, '4111', 'a'); INSERT INTO audit VALUES (1)`);
  await waitFor(() => log.events.length === 1, { describe: 'the event' });
  expect(events(log)).toEqual(['insert public.orders -> (1, 4111, a)']);
  await waitFor(() => source.progress.connected && source.progress.received >= log.appended, {
    describe: 'progress',
  });
  expect(source.progress.walEnd).toBeGreaterThanOrEqual(source.progress.received);
  const confirmed = log.appended;
  source.confirm(confirmed);
  await waitFor(() => source.progress.confirmed === confirmed, { describe: 'the position to be told' });
  // Lower and equal ones change nothing.
  source.confirm(from);
  first.abort();
  expect(await first.outcome).toBe('aborted');
  expect(source.progress).toMatchObject({ connected: false, confirmed });
  expect((await source.inspect(NEVER)).slot?.confirmedFlushLsn).toBe(confirmed);
  await database.query(`UPDATE orders SET v = 'b'`);
  harness.stream(log);
  await waitFor(() => log.events.length === 2, { describe: 'the second event' });
  expect(events(log)[1]).toBe('update public.orders -> (1, 4111, b)');
});

test('excluded columns stay on the server, as do tables that are only published', async () => {
  await using harness = await Harness.open({ exclude: ['card'] });
  const log = new RecordingLog(await harness.prepared());
  await harness.database.query(`ALTER PUBLICATION ${harness.database.name} ADD TABLE audit`);
  harness.stream(log);
  await harness.database.query(`INSERT INTO orders VALUES (1, '4111', 'a'); INSERT INTO audit VALUES (7)`);
  await waitFor(() => log.events.length === 2, { describe: 'the events' });
  expect(events(log)).toEqual([
    'insert public.orders -> (1, not-captured, a)',
    'insert public.audit -> (not-captured)',
  ]);
});

test('rows that were there before the slot are named', async () => {
  await using harness = await Harness.open();
  await harness.database.query(`INSERT INTO orders SELECT i FROM generate_series(1, 42) i`);
  await harness.prepared();
  expect(harness.messages).toContain('public.orders: 42 rows existed before the slot; not delivered');
});

test('the end of the WAL is known also while nothing is read', async () => {
  await using harness = await Harness.open();
  const log = new RecordingLog(await harness.prepared());
  log.close();
  harness.stream(log);
  await waitFor(() => harness.source.progress.connected, { describe: 'the stream' });
  await harness.database.query(
    `INSERT INTO orders SELECT i, repeat('x', 1000), 'v' FROM generate_series(1, 30000) i`,
  );
  const { rows } = await harness.database.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
  const [high = '', low = ''] = (rows[0]?.lsn ?? '').split('/');
  const end = (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
  await waitFor(() => harness.source.progress.walEnd >= end, { describe: 'the end of the WAL' });
  expect(harness.source.progress.received).toBeLessThan(end);
});

test('the heartbeat is written at its interval, moves the position and is no event', async () => {
  // Also where transactions are read-only unless they say otherwise.
  await using harness = await Harness.open({
    source: { heartbeat: { interval: '50ms' } },
    session: '-c default_transaction_read_only=on',
  });
  const from = await harness.prepared();
  const log = new RecordingLog(from);
  harness.stream(log);
  await waitFor(() => log.marks.length >= 2, { describe: 'the position to move' });
  expect(log.transactions).toEqual([]);
  expect(log.messages).toEqual([]);
  expect(log.appended).toBeGreaterThan(from);
});

test('a slot that somebody else reads: the holder is named after wal_sender_timeout', async () => {
  await using harness = await Harness.open({ session: '-c wal_sender_timeout=100ms' });
  const from = await harness.prepared();
  // Somebody whom the server does not give up.
  const holder = new Client({
    connectionString: harness.database.url,
    replication: 'database',
    application_name: 'twin',
  } as ClientConfig);
  holder.on('error', () => {});
  await holder.connect();
  const held = holder
    .query(
      `START_REPLICATION SLOT ${harness.database.name}_slot LOGICAL 0/0 (proto_version '1', publication_names '${harness.database.name}')`,
    )
    .catch(() => {});
  await waitFor(async () => (await harness.slot())?.active === true, { describe: 'the holder' });
  const error = (await harness.stream(new RecordingLog(from)).outcome) as TailraceError;
  expect(error).toMatchObject({ code: 'E_SLOT_ACTIVE', retriable: false });
  expect(error.message).toMatch(/in use by process \d+ of the server, application "twin", from 127\.0\.0\.1/);
  expect(error.fix).toMatch(/pg_terminate_backend\(\d+\)/);
  await holder.end();
  await held;
});

test('a slot that is gone is final and named', async () => {
  await using harness = await Harness.open();
  await harness.source.prepare(NEVER);
  const error = (await harness.stream(new RecordingLog(1n)).outcome) as TailraceError;
  expect(error).toMatchObject({ code: 'E_SLOT_MISSING', retriable: false });
});

test('a lost server is reported and the source can be used again', async () => {
  await using proxied = await openProxied();
  const { harness, proxy } = proxied;
  const log = new RecordingLog(await harness.prepared());
  const first = harness.stream(log);
  await waitFor(() => harness.source.progress.connected, { describe: 'the stream' });
  proxy.stall();
  await harness.database.query(`INSERT INTO orders VALUES (1, 'c', 'a')`);
  expect(await first.outcome).toMatchObject({ code: 'E_CONNECT', retriable: true });
  expect(harness.source.progress.connected).toBe(false);
  proxy.cut();
  await proxy.pass();
  await waitFor(async () => (await harness.slot())?.active === false, { describe: 'the slot to be free' });
  harness.stream(log);
  await waitFor(() => log.events.length === 1, { describe: 'the event' });
});

async function openProxied() {
  const target = await createTestDatabase();
  const proxy = await startTcpProxy({ port: Number(new URL(target.url).port) });
  await target[Symbol.asyncDispose]();
  const harness = await Harness.open({
    url: (database) => proxy.url(database.url),
    session: '-c wal_sender_timeout=1s',
  });
  return {
    harness,
    proxy,
    async [Symbol.asyncDispose](): Promise<void> {
      await proxy.pass();
      await harness[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

test('check finds nothing wrong with what prepare and createSlot have made', async () => {
  await using harness = await Harness.open();
  await harness.prepared();
  const found: string[] = [];
  for await (const { level, about } of harness.source.check(NEVER)) {
    if (level === 'error') found.push(about);
  }
  // The role of this test may not read the table, which check says.
  expect(found.filter((about) => !about.includes('SELECT'))).toEqual([]);
});
