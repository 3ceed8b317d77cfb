import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { postgresSource } from '../../../../connectors/postgres/config.ts';
import { chooseHost } from '../../../../connectors/postgres/connection/connect.ts';
import { resolveConnection } from '../../../../connectors/postgres/connection/connection-settings.ts';
import { inspectSource, parseTimelineHistory } from '../../../../connectors/postgres/setup/inspect.ts';
import { createSlot } from '../../../../connectors/postgres/setup/slot.ts';
import { parseLsn } from '../../../../src/events/lsn.ts';
import { type LocalPostgres, startLocalPostgres } from '../../../support/local-postgres.ts';
import { waitFor } from '../../../support/wait.ts';

const signal = new AbortController().signal;

let dir: string;
let primary: LocalPostgres;
let standby: LocalPostgres;
let admin: Client;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tailrace-standby-'));
  chmodSync(dir, 0o755);
  primary = await startLocalPostgres({ dataDir: join(dir, 'primary') });
  await primary.stop();
  // A base backup of a server that is down is a copy; -a keeps the owner.
  const copy = spawnSync('cp', ['-a', join(dir, 'primary'), join(dir, 'standby')]);
  expect(copy.status).toBe(0);
  writeFileSync(join(dir, 'standby', 'standby.signal'), '');
  await primary.start();
  const { port, password } = new URL(primary.url);
  standby = await startLocalPostgres({
    dataDir: join(dir, 'standby'),
    settings: {
      primary_conninfo: `host=127.0.0.1 port=${port} user=postgres password=${password}`,
      hot_standby_feedback: true,
    },
  });
  admin = await adminOf(primary);
});

afterAll(async () => {
  await admin?.end();
  await standby?.[Symbol.asyncDispose]();
  await primary?.[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

async function adminOf(server: LocalPostgres): Promise<Client> {
  const client = new Client({ connectionString: server.url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

function settingsFor(server: LocalPostgres) {
  return resolveConnection({ url: server.url }, {});
}

async function chosen(targetSessionAttrs: string | undefined): Promise<string> {
  const { password } = new URL(primary.url);
  const url = `postgresql://postgres:${password}@127.0.0.1:${standby.port},127.0.0.1:${primary.port}/postgres`;
  const config = postgresSource.parse({ url, target_session_attrs: targetSessionAttrs });
  const { port } = await chooseHost(resolveConnection(config, {}), { purpose: 'test', signal });
  return port === primary.port ? 'primary' : 'standby';
}

test('of several hosts the wanted one is chosen, the primary unless said', async () => {
  expect(await chosen(undefined)).toBe('primary');
  expect(await chosen('primary')).toBe('primary');
  expect(await chosen('read-write')).toBe('primary');
  expect(await chosen('any')).toBe('standby');
  expect(await chosen('standby')).toBe('standby');
  expect(await chosen('read-only')).toBe('standby');
  expect(await chosen('prefer-standby')).toBe('standby');
});

test('a standby says how far it has received', async () => {
  const { rows } = await admin.query<{ lsn: string }>(
    "SELECT pg_logical_emit_message(true, 'x', 'y') AS lsn",
  );
  const lsn = parseLsn(rows[0]?.lsn ?? '');
  const facts = await waitFor(async () => {
    const now = await inspectSource({ settings: settingsFor(standby), slot: 's', signal });
    return now.walEnd >= lsn && now;
  });
  expect(facts).toMatchObject({ timeline: 1, history: [] });
  const ofPrimary = await inspectSource({ settings: settingsFor(primary), slot: 's', signal });
  expect(facts.systemIdentifier).toBe(ofPrimary.systemIdentifier);
});

test('a slot on a standby, where the server can', async () => {
  const { rows } = await admin.query<{ v: number }>("SELECT current_setting('server_version_num')::int AS v");
  if ((rows[0]?.v ?? 0) < 160_000) return;
  const creating = createSlot({
    settings: settingsFor(standby),
    slot: 'on_standby',
    timeoutMs: 20_000,
    signal,
  });
  let done = false;
  const finished = (): void => {
    done = true;
  };
  creating.then(finished, finished);
  // A standby learns which transactions are open from the primary only.
  await waitFor(async () => {
    await admin.query('SELECT pg_log_standby_snapshot()');
    return done;
  });
  expect(await creating).toBeGreaterThan(0n);
});

test('after a promotion: a new timeline, and where the old one ended', async () => {
  const promoting = await adminOf(standby);
  await promoting.query('SELECT pg_promote()');
  const { rows } = await promoting.query<{ history: string }>(
    "SELECT pg_read_file('pg_wal/00000002.history') AS history",
  );
  await promoting.end();
  const facts = await inspectSource({ settings: settingsFor(standby), slot: 'on_standby', signal });
  expect(facts.timeline).toBe(2);
  expect(facts.history).toEqual([
    { timeline: 1, switchLsn: parseLsn(rows[0]?.history.split('\t')[1] ?? '') },
  ]);
  expect(facts.walEnd).toBeGreaterThan(facts.history[0]?.switchLsn ?? 0n);
});

test('a history of several timelines, comments and blank lines', () => {
  const content = '# copied\n1\t0/5000000\tno recovery target specified\n\n2\tA/B0C\tbefore 2026-01-01\n';
  expect(parseTimelineHistory(content)).toEqual([
    { timeline: 1, switchLsn: 0x5000000n },
    { timeline: 2, switchLsn: 0xa00000b0cn },
  ]);
  expect(parseTimelineHistory('')).toEqual([]);
});
