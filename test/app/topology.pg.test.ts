import { spawnSync } from 'node:child_process';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, type QueryResult, type QueryResultRow } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type LocalPostgres, startLocalPostgres } from '../support/local-postgres.ts';
import type { TestDatabase } from '../support/postgres.ts';
import { waitFor } from '../support/wait.ts';
import { PipelineHarness } from './pipeline-harness.ts';

/** A server of the test's own, which may be stopped, restored and promoted. */
let server: LocalPostgres;
let harness: PipelineHarness;

beforeEach(async () => {
  server = await startLocalPostgres({
    settings: { max_slot_wal_keep_size: '16MB', wal_sender_timeout: '3s' },
  });
  harness = await PipelineHarness.open({ database: ownDatabase(server) });
});

afterEach(async () => {
  await harness[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

function ownDatabase(own: LocalPostgres): TestDatabase {
  const query = async <R extends QueryResultRow>(
    sql: string,
    params?: readonly unknown[],
  ): Promise<QueryResult<R>> => {
    const client = new Client({ connectionString: own.url });
    await client.connect();
    try {
      return params === undefined ? await client.query<R>(sql) : await client.query<R>(sql, [...params]);
    } finally {
      await client.end();
    }
  };
  return {
    url: own.url,
    adminUrl: own.url,
    name: 'postgres',
    role: 'postgres',
    query,
    connect: () => expect.unreachable(),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** Starts it from its data as an archive recovery: the server ends on a new timeline. */
async function startOnNewTimeline(): Promise<void> {
  await writeFile(join(server.dataDir, 'recovery.signal'), '');
  await server.start({ restore_command: 'false' });
  await waitFor(async () => {
    const { rows } = await harness.database.query<{ recovering: boolean }>(
      'SELECT pg_is_in_recovery() AS recovering',
    );
    return rows[0]?.recovering === false;
  });
}

async function deliver(count: number, total: number): Promise<void> {
  const running = harness.start();
  await running.streaming();
  await harness.insert(count);
  await waitFor(() => harness.mirrorIds().length === total);
  expect(await running.stop()).toBeUndefined();
}

describe('a server that restarts while it is read', () => {
  test.each(['fast', 'immediate'] as const)(
    '%s: the pipeline connects again, nothing is lost or repeated',
    async (mode) => {
      const running = harness.start();
      await running.streaming();
      const ids = [...(await harness.insert(5))];
      await server.restart(mode);
      ids.push(...(await harness.insert(5)));
      await waitFor(() => harness.mirrorIds().length === ids.length, { timeoutMs: 20_000 });
      await running.streaming();
      expect(await running.stop()).toBeUndefined();
      expect(await harness.fileIds()).toEqual(ids);
    },
  );
});

describe('a slot the server has given up', () => {
  test('is final, and the setting is named', async () => {
    await deliver(1, 1);
    await waitFor(
      async () => {
        await harness.database.query('INSERT INTO unpublished SELECT generate_series(1, 1000)');
        await harness.database.query('SELECT pg_switch_wal()');
        await harness.database.query('CHECKPOINT');
        const { rows } = await harness.database.query<{ wal_status: string }>(
          'SELECT wal_status FROM pg_replication_slots',
        );
        return rows[0]?.wal_status === 'lost';
      },
      { timeoutMs: 20_000 },
    );
    expect(await harness.start().ended).toMatchObject({
      code: 'E_SLOT_LOST',
      exitCode: 4,
      fix: expect.stringContaining('max_slot_wal_keep_size'),
    });
  });
});

describe('another timeline', () => {
  test('that begins after everything held goes on', async () => {
    await deliver(2, 2);
    await server.stop();
    await startOnNewTimeline();
    await deliver(2, 4);
    expect(await harness.fileIds()).toEqual([1, 2, 3, 4]);
  });

  test('that begins before what was delivered is refused', async () => {
    await deliver(2, 2);
    await server.stop();
    const backup = `${server.dataDir}-backup`;
    copyData(backup);
    await server.start();
    await deliver(2, 4);
    await server.stop();
    await restore(backup);
    await startOnNewTimeline();
    // The server writes on: its WAL is soon longer than what was lost.
    await harness.database.query('INSERT INTO unpublished SELECT generate_series(1, 50000)');
    expect(await harness.start().ended).toMatchObject({
      code: 'E_DIVERGED',
      exitCode: 4,
      message: expect.stringContaining('timeline 2'),
    });
  });
});

test('a server restored from before what was delivered is refused', async () => {
  await deliver(2, 2);
  await server.stop();
  const backup = `${server.dataDir}-backup`;
  copyData(backup);
  await server.start();
  await deliver(40, 42);
  await server.stop();
  await restore(backup);
  await server.start();
  const error = await harness.start().ended;
  expect(error).toMatchObject({ code: 'E_DIVERGED', exitCode: 4 });
  expect(error?.message).toContain("The server's WAL ends at");
});

/** Owners and modes as they are: the server refuses to start otherwise. */
function copyData(backup: string): void {
  expect(spawnSync('cp', ['-a', server.dataDir, backup]).status).toBe(0);
}

/** Puts the copy in the place of the data. */
async function restore(backup: string): Promise<void> {
  await rm(server.dataDir, { recursive: true });
  await rename(backup, server.dataDir);
}
