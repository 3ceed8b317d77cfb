import { randomBytes } from 'node:crypto';
import { Client, escapeIdentifier, escapeLiteral, type QueryResult, type QueryResultRow } from 'pg';
import { inject } from 'vitest';
import { waitFor } from './wait.ts';

export interface TestDatabaseOptions {
  /** GRANT CREATE ON DATABASE to the role, as for creating publications. */
  readonly create?: boolean | undefined;
  /** SELECT on every table the superuser creates in schema public from now on, as for reading rows that exist. */
  readonly select?: boolean | undefined;
  /** The role owns the database, and with it schema public. */
  readonly owner?: boolean | undefined;
  /** SQL run once by the superuser in the fresh database. */
  readonly setup?: string | undefined;
}

export interface TestDatabase extends AsyncDisposable {
  /** Connects as a role that may LOGIN and REPLICATION, owns nothing and was granted nothing but what the options say. */
  readonly url: string;
  /** Connects as the superuser, to the same database. */
  readonly adminUrl: string;
  /** Also a safe prefix of slot names, which are unique in the whole server: `[a-z0-9_]+`. */
  readonly name: string;
  readonly role: string;
  /** As the superuser. */
  query<R extends QueryResultRow = QueryResultRow>(
    sql: string,
    params?: readonly unknown[],
  ): Promise<QueryResult<R>>;
  /** Another connection of the superuser; closed with the database. */
  connect(): Promise<Client>;
}

/** A fresh database and role on the run's PostgreSQL. Disposing ends what is connected and drops slots, database and role. */
export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const serverUrl = postgresUrl();
  const name = `t_${randomBytes(6).toString('hex')}`;
  const role = `${name}_role`;
  const password = randomBytes(12).toString('hex');
  await withClient(serverUrl, async (admin) => {
    await admin.query(
      `CREATE ROLE ${escapeIdentifier(role)} LOGIN REPLICATION PASSWORD ${escapeLiteral(password)}`,
    );
    const owner = options.owner === true ? ` OWNER ${escapeIdentifier(role)}` : '';
    await admin.query(
      `CREATE DATABASE ${escapeIdentifier(name)}${owner} TEMPLATE template0 STRATEGY wal_log`,
    );
    if (options.create === true) {
      await admin.query(`GRANT CREATE ON DATABASE ${escapeIdentifier(name)} TO ${escapeIdentifier(role)}`);
    }
  });
  const database = new ServerDatabase({
    serverUrl,
    name,
    role,
    url: databaseUrl(serverUrl, name, { role, password }),
    adminUrl: databaseUrl(serverUrl, name),
  });
  try {
    if (options.select === true) {
      await database.query(
        `ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO ${escapeIdentifier(role)}`,
      );
    }
    if (options.setup !== undefined) await database.query(options.setup);
    return database;
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
}

/** The superuser's URL of the run's PostgreSQL. Most tests want {@link createTestDatabase}. */
export function postgresUrl(): string {
  const server = inject('servers')?.postgres;
  if (server?.state !== 'running') {
    throw new Error('This run has no PostgreSQL. A test file that needs it is called *.pg.test.ts.');
  }
  return server.address;
}

interface DatabaseParts {
  readonly serverUrl: string;
  readonly name: string;
  readonly role: string;
  readonly url: string;
  readonly adminUrl: string;
}

class ServerDatabase implements TestDatabase {
  readonly url: string;
  readonly adminUrl: string;
  readonly name: string;
  readonly role: string;
  readonly #serverUrl: string;
  readonly #clients = new Set<Client>();
  #shared: Promise<Client> | undefined;

  constructor(parts: DatabaseParts) {
    this.#serverUrl = parts.serverUrl;
    this.url = parts.url;
    this.adminUrl = parts.adminUrl;
    this.name = parts.name;
    this.role = parts.role;
  }

  async query<R extends QueryResultRow = QueryResultRow>(
    sql: string,
    params?: readonly unknown[],
  ): Promise<QueryResult<R>> {
    this.#shared ??= this.connect();
    const client = await this.#shared;
    return params === undefined ? client.query<R>(sql) : client.query<R>(sql, [...params]);
  }

  async connect(): Promise<Client> {
    const client = await connect(this.adminUrl);
    this.#clients.add(client);
    client.once('end', () => this.#clients.delete(client));
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([...this.#clients].map(async (client) => client.end()));
    await withClient(this.#serverUrl, async (admin) => {
      const database = escapeIdentifier(this.name);
      // What the test left behind may reconnect all the time: shut the door first.
      await admin.query(`ALTER DATABASE ${database} ALLOW_CONNECTIONS false`);
      await waitFor(async () => this.#dropSlots(admin), {
        timeoutMs: 15_000,
        describe: `the replication slots of ${this.name} to be dropped`,
      });
      await admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
      await admin.query(`DROP ROLE IF EXISTS ${escapeIdentifier(this.role)}`);
    });
  }

  async #dropSlots(admin: Client): Promise<boolean> {
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [
      this.name,
    ]);
    // A physical slot has no database and is nobody's business here; an active one is dropped at the next look.
    await admin.query(
      'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1 AND active_pid IS NULL',
      [this.name],
    );
    const { rows } = await admin.query<{ left: string }>(
      `SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = $1)
            + (SELECT count(*) FROM pg_stat_activity WHERE datname = $1) AS left`,
      [this.name],
    );
    return rows[0]?.left === '0';
  }
}

function databaseUrl(
  serverUrl: string,
  database: string,
  as?: { readonly role: string; readonly password: string },
): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  if (as !== undefined) {
    url.username = as.role;
    url.password = as.password;
  }
  return url.href;
}

async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString, connectionTimeoutMillis: 10_000 });
  // Tests end backends on purpose; a query in flight still rejects.
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = await connect(url);
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
