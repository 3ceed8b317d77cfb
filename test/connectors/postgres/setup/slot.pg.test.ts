import { Client } from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { ConnectionSettings } from '../../../../connectors/postgres/connection/connection-settings.ts';
import { resolveConnection } from '../../../../connectors/postgres/connection/connection-settings.ts';
import { inspectSource } from '../../../../connectors/postgres/setup/inspect.ts';
import { createSlot, dropSlot } from '../../../../connectors/postgres/setup/slot.ts';
import { type LocalPostgres, startLocalPostgres } from '../../../support/local-postgres.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres.ts';
import { waitFor } from '../../../support/wait.ts';

const signal = new AbortController().signal;

function settingsOf(url: string): ConnectionSettings {
  return resolveConnection({ url }, {});
}

function inspect(database: TestDatabase, slot = `${database.name}_slot`) {
  return inspectSource({ settings: settingsOf(database.url), slot, signal });
}

function create(
  database: TestDatabase,
  options: { timeoutMs?: number; signal?: AbortSignal; slot?: string } = {},
) {
  const slot = `${database.name}_slot`;
  return createSlot({ settings: settingsOf(database.url), slot, timeoutMs: 10_000, signal, ...options });
}

test('a new slot: its consistent point is where it stands', async () => {
  await using database = await createTestDatabase();
  expect((await inspect(database)).slot).toBeUndefined();
  const consistentPoint = await create(database);
  const facts = await inspect(database);
  expect(facts.slot).toMatchObject({
    name: `${database.name}_slot`,
    plugin: 'pgoutput',
    database: database.name,
    active: false,
    walStatus: 'reserved',
    confirmedFlushLsn: consistentPoint,
  });
  expect(facts.slot?.invalidationReason).toBeUndefined();
  expect(facts.walEnd).toBeGreaterThanOrEqual(consistentPoint);
  expect(facts.slot?.restartLsn).toBeLessThanOrEqual(consistentPoint);
  expect(facts.slot?.retainedBytes).toBe(Number(facts.walEnd - (facts.slot?.restartLsn ?? 0n)));
  const { rows } = await database.query<{ slot: Record<string, unknown> }>(
    'SELECT to_jsonb(s) AS slot FROM pg_replication_slots s WHERE slot_name = $1',
    [`${database.name}_slot`],
  );
  expect(rows[0]?.slot).toMatchObject({ temporary: false, two_phase: false });
  if (facts.serverVersion >= 170_000) expect(rows[0]?.slot.failover).toBe(true);
});

test('facts of the server', async () => {
  await using database = await createTestDatabase();
  const facts = await inspect(database);
  const { rows } = await database.query<Record<string, unknown>>(
    `SELECT system_identifier::text AS system, (SELECT oid FROM pg_database WHERE datname = current_database()) AS oid,
            current_setting('server_version_num')::int AS version, (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline
       FROM pg_control_system()`,
  );
  expect(facts).toMatchObject({
    systemIdentifier: rows[0]?.system,
    databaseOid: rows[0]?.oid,
    database: database.name,
    timeline: rows[0]?.timeline,
    history: [],
    serverVersion: rows[0]?.version,
    walSenderTimeoutMs: 60_000,
    maxSlotWalKeepBytes: undefined,
  });
});

test('wal_sender_timeout is the one that holds for the role', async () => {
  await using database = await createTestDatabase();
  await database.query(`ALTER ROLE "${database.role}" SET wal_sender_timeout = '7s'`);
  expect((await inspect(database)).walSenderTimeoutMs).toBe(7000);
});

test('a prepared transaction that is waited for is named by its gid', async () => {
  await using database = await createTestDatabase({ setup: 'CREATE TABLE t (id int)' });
  const gid = `${database.name} it's`;
  await database.query(`BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION '${gid.replace("'", "''")}'`);
  try {
    await expect(create(database, { timeoutMs: 300 })).rejects.toThrow(
      `prepared transaction '${gid.replace("'", "''")}'`,
    );
  } finally {
    await database.query(`ROLLBACK PREPARED '${gid.replace("'", "''")}'`);
  }
});

test('aborting ends the waiting with the reason, and leaves no slot', async () => {
  await using database = await createTestDatabase();
  const blocker = await database.connect();
  await blocker.query('BEGIN; SELECT pg_current_xact_id()');
  const controller = new AbortController();
  const creating = create(database, { signal: controller.signal });
  creating.catch(() => {});
  await waitFor(async () => {
    const { rowCount } = await database.query('SELECT FROM pg_replication_slots WHERE slot_name = $1', [
      `${database.name}_slot`,
    ]);
    return rowCount;
  });
  const reason = new Error('enough');
  controller.abort(reason);
  await expect(creating).rejects.toBe(reason);
  await blocker.query('COMMIT');
  await waitFor(async () => (await inspect(database)).slot === undefined);
});

test('a slot of that name is there already', async () => {
  await using database = await createTestDatabase();
  await create(database);
  await expect(create(database)).rejects.toMatchObject({ code: 'E_SLOT_ACTIVE', retriable: true });
});

test('a role that may not replicate', async () => {
  await using database = await createTestDatabase();
  await database.query(`ALTER ROLE "${database.role}" NOREPLICATION`);
  await expect(create(database)).rejects.toMatchObject({ code: 'E_PRIVILEGE' });
});

test('dropping: a slot that is there, and one that is not', async () => {
  await using database = await createTestDatabase();
  const slot = `${database.name}_slot`;
  const drop = () => dropSlot({ settings: settingsOf(database.url), slot, signal });
  expect(await drop()).toBe(false);
  await create(database);
  expect(await drop()).toBe(true);
  expect((await inspect(database)).slot).toBeUndefined();
});

test('a physical slot of the name', async () => {
  await using database = await createTestDatabase();
  const physical = `${database.name}_physical`;
  await database.query('SELECT pg_create_physical_replication_slot($1)', [physical]);
  try {
    expect((await inspect(database, physical)).slot).toMatchObject({
      name: physical,
      plugin: undefined,
      database: undefined,
    });
  } finally {
    await database.query('SELECT pg_drop_replication_slot($1)', [physical]);
  }
});

// What waits for transactions of the whole server, or changes its settings, has one of its own.
let small: LocalPostgres;

beforeAll(async () => {
  small = await startLocalPostgres({
    settings: {
      max_replication_slots: 1,
      max_slot_wal_keep_size: '48MB',
      wal_sender_timeout: 0,
      max_wal_senders: 3,
    },
  });
});

afterAll(async () => {
  await small?.[Symbol.asyncDispose]();
});

async function connectTo(server: LocalPostgres): Promise<Client> {
  const client = new Client({ connectionString: server.url });
  client.on('error', () => {});
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

test('a slot that waits too long for an old transaction: named, and not left behind', async () => {
  const admin = await connectTo(small);
  const blocker = await connectTo(small);
  await admin.query("CREATE ROLE reader LOGIN REPLICATION PASSWORD 'x'");
  const url = new URL(small.url);
  url.username = 'reader';
  url.password = 'x';
  const settings = settingsOf(url.href);
  const attempt = (timeoutMs: number) => createSlot({ settings, slot: 'waiting', timeoutMs, signal });
  await blocker.query("SET application_name = 'forgotten'");
  await blocker.query('BEGIN');
  const { rows } = await blocker.query<{ pid: number }>(
    'SELECT pg_backend_pid() AS pid, pg_current_xact_id()',
  );
  const name = `process ${rows[0]?.pid} of postgres (forgotten)`;
  // How long is for those to know who may read statistics.
  await expect(attempt(300)).rejects.toMatchObject({
    code: 'E_STREAM',
    retriable: true,
    message: expect.stringMatching(new RegExp(`Still open: ${name.replace(/[()]/g, '\\$&')}\\.$`)),
  });
  await admin.query('GRANT pg_read_all_stats TO reader');
  await expect(attempt(300)).rejects.toThrow(/forgotten\), open for \d\d:\d\d:\d\d\.$/);
  await blocker.query('COMMIT');
  // Were the walsender only left alone, it would now finish the slot.
  await waitFor(async () => {
    const left = await admin.query("SELECT FROM pg_stat_activity WHERE backend_type = 'walsender'");
    return left.rowCount === 0;
  });
  expect((await inspectSource({ settings, slot: 'waiting', signal })).slot).toBeUndefined();
  await attempt(20_000);
  await dropSlot({ settings, slot: 'waiting', signal });
});

test('no slot left, a limit on WAL, and a server that writes too little of it', async () => {
  const settings = settingsOf(small.url);
  const facts = await inspectSource({ settings, slot: 'one', signal });
  expect(facts).toMatchObject({ maxSlotWalKeepBytes: 48 * 1024 ** 2, walSenderTimeoutMs: 0 });
  await createSlot({ settings, slot: 'one', timeoutMs: 10_000, signal });
  await expect(createSlot({ settings, slot: 'two', timeoutMs: 10_000, signal })).rejects.toMatchObject({
    code: 'E_STREAM',
    fix: expect.stringContaining('max_replication_slots'),
  });
  expect((await inspectSource({ settings, slot: 'one', signal })).slot?.safeWalSizeBytes).toBeGreaterThan(0);
  await dropSlot({ settings, slot: 'one', signal });
  await small.restart('fast', { wal_level: 'replica' });
  await expect(createSlot({ settings, slot: 'one', timeoutMs: 10_000, signal })).rejects.toMatchObject({
    code: 'E_WAL_LEVEL',
    retriable: false,
    fix: expect.stringContaining('wal_level = logical'),
  });
});
