import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { type LocalPostgres, startLocalPostgres } from './local-postgres.ts';
import { findIdentity, nobody } from './unprivileged.ts';

async function value(server: LocalPostgres, sql: string): Promise<unknown> {
  const client = new Client({ connectionString: server.url });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rows } = await client.query<{ value: unknown }>(sql);
    return rows.at(-1)?.value;
  } finally {
    await client.end();
  }
}

test('keeps port, password and data over every kind of restart, and over a start elsewhere', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'tailrace-local-postgres-'));
  try {
    let url: string;
    {
      await using server = await startLocalPostgres({ dataDir, settings: { work_mem: '5MB' } });
      ({ url } = server);
      expect(await value(server, "SELECT current_setting('wal_level') AS value")).toBe('logical');
      expect(await value(server, "SELECT current_setting('work_mem') AS value")).toBe('5MB');
      await value(server, 'CREATE TABLE kept AS SELECT 1 AS value');
      await server.restart('fast', { work_mem: '6MB' });
      expect(await value(server, "SELECT current_setting('work_mem') AS value")).toBe('6MB');
      await server.restart('immediate');
      const { pid } = server;
      await server.kill9();
      expect(server.running).toBe(false);
      await server.start();
      expect(server.pid).not.toBe(pid);
      expect(await value(server, 'SELECT value FROM kept')).toBe(1);
      await expect(server.start()).rejects.toThrow(/running already/);
    }
    await using again = await startLocalPostgres({ dataDir });
    expect(new URL(again.url).password).toBe(new URL(url).password);
    expect(await value(again, 'SELECT value FROM kept')).toBe(1);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});

test('asks for a password by SCRAM', async () => {
  await using server = await startLocalPostgres();
  const url = new URL(server.url);
  url.password = 'wrong';
  const client = new Client({ connectionString: url.href });
  client.on('error', () => {});
  await expect(client.connect()).rejects.toMatchObject({ code: '28P01' });
  expect(await value(server, 'SELECT rolpassword AS value FROM pg_authid WHERE oid = 10')).toMatch(
    /^SCRAM-SHA-256\$/,
  );
});

test('says what the server said when it does not start', async () => {
  const failing = startLocalPostgres({ settings: { max_connections: 'many' } });
  await expect(failing).rejects.toThrow(/ended while starting .*max_connections/s);
});

test.runIf(process.getuid?.() === 0)(
  'as root it runs as somebody else, by a namespace or another uid',
  async () => {
    for (const identity of [undefined, nobody]) {
      await using server = await startLocalPostgres({ identity });
      expect(await value(server, 'SELECT 1 AS value')).toBe(1);
    }
    expect(findIdentity({ program: '/bin/sh', args: ['-c', 'exit 3'] })).toBeUndefined();
  },
);
