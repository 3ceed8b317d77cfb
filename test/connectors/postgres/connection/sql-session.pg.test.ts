import { expect, test } from 'vitest';
import { resolveConnection } from '../../../../connectors/postgres/connection/connection-settings.ts';
import { SqlSession } from '../../../../connectors/postgres/connection/sql-session.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres.ts';
import { startTcpProxy } from '../../../support/tcp-proxy.ts';
import { waitFor } from '../../../support/wait.ts';

const signal = new AbortController().signal;
const doing = 'Testing';

function sessionTo(url: string): SqlSession {
  return new SqlSession({ settings: resolveConnection({ url }, {}), purpose: 'test' });
}

async function backends(database: TestDatabase): Promise<number[]> {
  const { rows } = await database.query<{ pid: number }>(
    'SELECT pid FROM pg_stat_activity WHERE usename = $1',
    [database.role],
  );
  return rows.map(({ pid }) => pid);
}

test('connects at first use, runs one statement at a time in order, closes', async () => {
  await using database = await createTestDatabase();
  const session = sessionTo(database.url);
  expect(await backends(database)).toEqual([]);
  const statements = ['SELECT pg_sleep(0.05), 1 AS n', 'SELECT 2 AS n', 'SELECT 3 AS n'];
  const results = await Promise.all(
    statements.map((sql) => session.query<{ n: number }>({ sql, doing, signal })),
  );
  expect(results.map(([row]) => row?.n)).toEqual([1, 2, 3]);
  expect(await backends(database)).toHaveLength(1);
  await session.close();
  await waitFor(async () => (await backends(database)).length === 0);
});

test('an SQL error leaves the connection, a lost connection is made again', async () => {
  await using database = await createTestDatabase();
  await using session = sessionTo(database.url);
  const pid = async () =>
    (await session.query<{ pid: number }>({ sql: 'SELECT pg_backend_pid() AS pid', doing, signal }))[0]?.pid;
  const first = await pid();
  await expect(session.query({ sql: 'SELECT 1/0', doing, signal })).rejects.toMatchObject({
    code: 'E_STREAM',
    message: expect.stringMatching(/^Testing at .*22012/),
  });
  expect(await pid()).toBe(first);
  await database.query('SELECT pg_terminate_backend($1)', [first]);
  // Noticed at once or by the next statement, which then says so.
  const second = await waitFor(async () => pid());
  expect(second).not.toBe(first);
});

test('aborting ends the statement with the reason; the next one has a new connection', async () => {
  await using database = await createTestDatabase();
  await using session = sessionTo(database.url);
  const controller = new AbortController();
  const pending = session.query({ sql: 'SELECT pg_sleep(60)', doing, signal: controller.signal });
  pending.catch(() => {});
  await waitFor(async () => {
    const { rowCount } = await database.query(
      "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename = $1",
      [database.role],
    );
    return rowCount;
  });
  const reason = new Error('enough');
  controller.abort(reason);
  await expect(pending).rejects.toBe(reason);
  await expect(session.query({ sql: 'SELECT 1', doing, signal: controller.signal })).rejects.toBe(reason);
  expect(await session.query({ sql: 'SELECT 1 AS n', doing, signal })).toEqual([{ n: 1 }]);
});

test('closing does not wait for a host that is gone', async () => {
  await using database = await createTestDatabase();
  await using proxy = await startTcpProxy({ port: Number(new URL(database.url).port) });
  const session = sessionTo(proxy.url(database.url));
  await session.query({ sql: 'SELECT 1', doing, signal });
  proxy.stall();
  const startedMs = performance.now();
  await session.close();
  expect(performance.now() - startedMs).toBeLessThan(5000);
});
