import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { postgresSource } from '../../../../connectors/postgres/config.ts';
import { resolveConnection } from '../../../../connectors/postgres/connection/connection-settings.ts';
import { checkSource } from '../../../../connectors/postgres/setup/check.ts';
import { inspectSource } from '../../../../connectors/postgres/setup/inspect.ts';
import type { Finding } from '../../../../src/delivery/sink.ts';
import { type LocalPostgres, startLocalPostgres } from '../../../support/local-postgres.ts';
import { waitFor } from '../../../support/wait.ts';

// What needs a server of its own: settings of the whole server, and slots that are lost.

const signal = new AbortController().signal;
const slot = 'tailrace_shop';

let server: LocalPostgres;
let admin: Client;

beforeAll(async () => {
  server = await startLocalPostgres({
    settings: {
      max_replication_slots: 2,
      max_wal_senders: 2,
      max_slot_wal_keep_size: '64MB',

      // No checkpoint but those asked for.
      max_wal_size: '4GB',
      checkpoint_timeout: '1h',
    },
  });
  await reconnect();
});

afterAll(async () => {
  await admin?.end();
  await server?.[Symbol.asyncDispose]();
});

async function reconnect(): Promise<void> {
  admin = new Client({ connectionString: server.url });
  admin.on('error', () => {});
  await admin.connect();
}

async function check(source: object = {}): Promise<Finding[]> {
  const config = postgresSource.parse({ url: server.url, ...source });
  const findings: Finding[] = [];
  for await (const finding of checkSource({
    settings: resolveConnection(config, {}),
    config,
    names: { slot, publication: slot },
    rules: [],
    need: () => 'key',
    signal,
  })) {
    findings.push(finding);
  }
  return findings;
}

function finding(level: Finding['level'], about: string, fix = ''): unknown {
  return expect.objectContaining({
    level,
    about: expect.stringContaining(about),
    fix: expect.stringContaining(fix),
  });
}

/** Writes WAL until the check says so. */
async function writeUntil(expected: unknown): Promise<void> {
  await waitFor(async () => {
    await admin.query(
      "SELECT count(pg_logical_emit_message(true, 'filler', repeat('x', 1048576))) FROM generate_series(1, 6)",
    );
    expect(await check()).toEqual(expect.arrayContaining([expected]));
    return true;
  });
}

test('limits: all slots in use, few WAL senders, a budget larger than the server keeps', async () => {
  await admin.query(
    "SELECT pg_create_physical_replication_slot('a'), pg_create_physical_replication_slot('b')",
  );
  const findings = await check();
  expect(findings).toEqual(
    expect.arrayContaining([
      finding('error', 'All 2 replication slots', 'max_replication_slots = 7'),
      finding('warning', 'wal_budget is more than half', "max_slot_wal_keep_size = '2048MB'"),
    ]),
  );
  expect(JSON.stringify(await check({ wal_budget: '32MiB' }))).not.toContain('wal_budget');
  expect(JSON.stringify(await check({ confirm: 'sinks' }))).not.toContain('wal_budget');
  await admin.query("SELECT pg_drop_replication_slot('a'), pg_drop_replication_slot('b')");
  const sender = new Client({ connectionString: server.url, replication: 'true' } as object);
  await sender.connect();
  expect(await check()).toEqual(
    expect.arrayContaining([finding('warning', '1 of 2 WAL senders', 'max_wal_senders = 7')]),
  );
  await sender.end();
});

test('no copy of the slot on standbys, and a time-out for idle slots', async () => {
  const { rows } = await admin.query<{ v: number }>("SELECT current_setting('server_version_num')::int AS v");
  const version = rows[0]?.v ?? 0;
  await admin.query(
    "SELECT pg_create_logical_replication_slot($1, 'pgoutput'), pg_create_physical_replication_slot('standby')",
    [slot],
  );
  try {
    if (version >= 170_000) {
      expect(await check()).toEqual(
        expect.arrayContaining([finding('warning', 'is not copied to standbys', 'FAILOVER true')]),
      );
    }
    if (version >= 180_000) {
      await admin.query("ALTER SYSTEM SET idle_replication_slot_timeout = '1h'");
      await admin.query('SELECT pg_reload_conf()');
      const idle = finding(
        'warning',
        'idle_replication_slot_timeout is 3600 s',
        'idle_replication_slot_timeout = 0',
      );
      await waitFor(async () => {
        expect(await check()).toEqual(expect.arrayContaining([idle]));
        return true;
      });
      await admin.query('ALTER SYSTEM RESET idle_replication_slot_timeout');
      await admin.query('SELECT pg_reload_conf()');
    }
  } finally {
    await admin.query("SELECT pg_drop_replication_slot($1), pg_drop_replication_slot('standby')", [slot]);
  }
});

test('a slot on its way to be lost: warned of, then in danger, then gone', async () => {
  await admin.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
  // Segments are counted whole: how much fits depends on where in one the slot stands.
  await writeUntil(finding('warning', 'more of WAL the server may give up', 'max_slot_wal_keep_size'));
  await writeUntil(finding('error', 'is about to be lost'));
  await admin.query('CHECKPOINT');
  expect(await check()).toEqual(
    expect.arrayContaining([
      finding('error', 'has invalidated the replication slot', 'pg_drop_replication_slot'),
    ]),
  );
  const facts = await inspectSource({ settings: resolveConnection({ url: server.url }, {}), slot, signal });
  expect(facts.slot).toMatchObject({ walStatus: 'lost', restartLsn: undefined });
  if (facts.serverVersion >= 170_000) expect(facts.slot?.invalidationReason).toBe('wal_removed');
  await admin.query('SELECT pg_drop_replication_slot($1)', [slot]);
});

test('a server that does not write enough WAL', async () => {
  await admin.end();
  await server.restart('fast', { wal_level: 'replica' });
  await reconnect();
  expect(await check()).toEqual(
    expect.arrayContaining([finding('error', 'wal_level is replica', 'wal_level = logical')]),
  );
});
