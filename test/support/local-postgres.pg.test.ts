import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { describe, expect, test } from 'vitest';
import { embeddedBinDir, type LocalPostgres, startLocalPostgres } from './local-postgres.ts';
import { chooseIdentity } from './unprivileged.ts';

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

describe.runIf(process.getuid?.() === 0)('as root', () => {
  const nobody = { kind: 'user', uid: 65534, gid: 65534 } as const;

  test.each([{ kind: 'namespace' } as const, nobody])('it runs as somebody else: %o', async (identity) => {
    await using server = await startLocalPostgres({ identity });
    expect(await value(server, 'SELECT 1 AS value')).toBe(1);
  });

  test('somebody who cannot enter the directory of the programs gets a copy', async () => {
    // mkdtemp makes it 0700, as the home of root is.
    const directory = await mkdtemp(join(tmpdir(), 'tailrace-programs-'));
    try {
      await symlink(dirname(dirname(embeddedBinDir())), join(directory, 'native'));
      const binDir = join(directory, 'native', 'native', 'bin');
      expect(chooseIdentity({ program: join(binDir, 'postgres'), args: ['--version'] }, nobody)).toEqual({
        identity: nobody,
        reaches: false,
      });
      await using server = await startLocalPostgres({ identity: nobody, binDir });
      expect(await value(server, 'SELECT 1 AS value')).toBe(1);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  test('the first that reaches the files is taken, and nobody when none does', () => {
    expect(chooseIdentity({ program: '/bin/true', args: [] }).reaches).toBe(true);
    expect(chooseIdentity({ program: '/bin/false', args: [] })).toEqual({ identity: nobody, reaches: false });
  });
});
