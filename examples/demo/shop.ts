import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { type Lsn, parseLsn } from '../../src/events/lsn.ts';
import { printedBy } from './connector.ts';
import { SCHEMA } from './shop-schema.ts';
import { PINNED, TABLES } from './shop-tables.ts';

const ROLE = 'tailrace';

/** The shop's database. */
export interface Shop extends AsyncDisposable {
  readonly client: Client;
  /** Of a superuser: for those who work in the shop. */
  readonly url: string;
  /** Of a role with exactly the privileges that `tailrace sql` prints. */
  readonly connectorUrl: string;
}

/** Makes database, tables and role. `config`: the pipeline that the role is for; `env`: what its file refers to. */
export async function openShop(
  serverUrl: string,
  config: string,
  env: Readonly<Record<string, string>>,
): Promise<Shop> {
  const server = await connect(serverUrl);
  await server.query('CREATE DATABASE shop');
  await server.end();
  const url = withPath(serverUrl, 'shop');
  const client = await connect(url.href);
  await client.query(SCHEMA);

  const grants = await printedBy(['sql', '--config', config, '--role', ROLE], {
    ...env,
    DATABASE_URL: url.href,
  });
  const password = randomBytes(12).toString('base64url');
  await client.query(grants.replace("'change me'", `'${password}'`));
  const connectorUrl = withPath(serverUrl, 'shop');
  connectorUrl.username = ROLE;
  connectorUrl.password = password;
  return {
    client,
    url: url.href,
    connectorUrl: connectorUrl.href,
    [Symbol.asyncDispose]: async () => client.end(),
  };
}

/** Rows per table. */
export async function countRows(client: Client): Promise<ReadonlyMap<string, number>> {
  const counts = TABLES.map(
    ({ name }) => `SELECT '${name}' AS name, count(*)::int AS rows FROM shop.${name}`,
  );
  const { rows } = await client.query<{ name: string; rows: number }>(counts.join(' UNION ALL '));
  return new Map(rows.map(({ name, rows: count }) => [name, count]));
}

export async function walEnd(client: Client): Promise<Lsn> {
  const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
  return parseLsn(rows[0]?.lsn ?? '0/0');
}

function withPath(url: string, database: string): URL {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed;
}

async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString, options: PINNED });
  // The server may be gone before us when something has gone wrong; a query in flight rejects all the same.
  client.on('error', () => {});
  await client.connect();
  return client;
}
