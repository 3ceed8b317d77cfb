import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { postgresSource } from '../../../../connectors/postgres/config.ts';
import { chooseHost, connect } from '../../../../connectors/postgres/connection/connect.ts';
import {
  type ConnectionSettings,
  resolveConnection,
} from '../../../../connectors/postgres/connection/connection-settings.ts';
import { freePort } from '../../../support/free-port.ts';
import { createTestDatabase } from '../../../support/postgres.ts';
import { startTcpProxy } from '../../../support/tcp-proxy.ts';

const signal = new AbortController().signal;

function resolve(config: object, env: NodeJS.ProcessEnv = {}): ConnectionSettings {
  return resolveConnection(postgresSource.parse(config), env);
}

/** What the server says over a fresh connection. */
async function show(settings: ConnectionSettings, names: readonly string[], replication = false) {
  const client = await connect(settings, { purpose: 'test', replication, signal });
  try {
    const shown: Record<string, unknown> = {};
    for (const name of names) {
      const { rows } = await client.query<Record<string, unknown>>(`SHOW ${name}`);
      shown[name] = Object.values(rows[0] ?? {})[0];
    }
    return shown;
  } finally {
    await client.end();
  }
}

function attempt(
  settings: ConnectionSettings,
  options: { readonly replication?: boolean } = {},
): Promise<unknown> {
  return connect(settings, { purpose: 'test', signal, ...options }).then(async (client) => {
    await client.end();
    return 'connected';
  });
}

/** The error's code and whether it may pass, for assertions; its message on the side. */
function refusal(code: string, retriable: boolean, message: string) {
  return expect.objectContaining({ code, retriable, message: expect.stringContaining(message) });
}

const hostileDefaults = {
  datestyle: 'German, DMY',
  intervalstyle: 'sql_standard',
  timezone: 'Asia/Tokyo',
  extra_float_digits: '-10',
  bytea_output: 'escape',
  client_encoding: 'LATIN1',
  xmlbinary: 'hex',
  quote_all_identifiers: 'on',
  search_path: 'public',
  statement_timeout: '1s',
  lock_timeout: '1s',
  idle_in_transaction_session_timeout: '1s',
  idle_session_timeout: '1s',
};

const pinnedFormat = {
  datestyle: 'ISO, MDY',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  extra_float_digits: '1',
  bytea_output: 'hex',
  client_encoding: 'UTF8',
  lc_monetary: 'C',
  xmlbinary: 'base64',
  quote_all_identifiers: 'off',
  search_path: 'pg_catalog',
};

test('what ALTER ROLE and ALTER DATABASE set does not reach our sessions', async () => {
  await using database = await createTestDatabase();
  for (const [name, value] of Object.entries(hostileDefaults)) {
    await database.query(
      `ALTER ROLE "${database.role}" SET ${name} = ${name === 'datestyle' ? value : `'${value}'`}`,
    );
    await database.query(
      `ALTER DATABASE "${database.name}" SET ${name} = ${name === 'datestyle' ? value : `'${value}'`}`,
    );
  }
  const settings = resolve({ url: database.url });
  const names = Object.keys(pinnedFormat);
  expect(await show(settings, names)).toEqual(pinnedFormat);
  expect(await show(settings, names, true)).toEqual(pinnedFormat);
  const limits = [
    'statement_timeout',
    'lock_timeout',
    'idle_in_transaction_session_timeout',
    'idle_session_timeout',
  ];
  expect(Object.values(await show(settings, limits, true))).toEqual(['0', '0', '0', '0']);
  expect(Object.values(await show(settings, limits))).toEqual(['1min', '5s', '1min', '0']);
});

test('transaction_timeout cannot end a walsender in the middle of a transaction', async () => {
  await using database = await createTestDatabase();
  const { rows } = await database.query("SELECT FROM pg_settings WHERE name = 'transaction_timeout'");
  if (rows.length === 0) return;
  await database.query(`ALTER ROLE "${database.role}" SET transaction_timeout = '1s'`);
  expect(await show(resolve({ url: database.url }), ['transaction_timeout'], true)).toEqual({
    transaction_timeout: '0',
  });
});

test('options of the user count unless they are pinned', async () => {
  await using database = await createTestDatabase();
  const env = { PGOPTIONS: '-c work_mem=7MB -c TimeZone=Asia/Tokyo' };
  expect(
    await show(resolve({ url: database.url }, env), ['work_mem', 'timezone', 'application_name']),
  ).toEqual({
    work_mem: '7MB',
    timezone: 'UTC',
    application_name: 'tailrace/test',
  });
});

test('PG* variables of the process do not leak past the settings', async () => {
  await using database = await createTestDatabase();
  const before = { ...process.env };
  try {
    Object.assign(process.env, {
      PGOPTIONS: '-c work_mem=9MB',
      PGPASSWORD: 'wrong',
      PGAPPNAME: 'leak',
      PGSSLMODE: 'require',
      PGHOST: 'nowhere.invalid',
      PGCONNECT_TIMEOUT: '1',
    });
    const shown = await show(resolve({ url: database.url }), ['work_mem', 'application_name']);
    expect(shown.work_mem).not.toBe('9MB');
    expect(shown.application_name).toBe('tailrace/test');
  } finally {
    process.env = before;
  }
});

test('a wrong password, none at all, and a role that does not exist', async () => {
  await using database = await createTestDatabase();
  const url = new URL(database.url);
  url.password = 'hunter2';
  await expect(attempt(resolve({ url: url.href }))).rejects.toEqual(refusal('E_AUTH', false, '28P01'));
  await expect(attempt(resolve({ url: url.href }))).rejects.not.toThrow('hunter2');
  url.password = '';
  await expect(attempt(resolve({ url: url.href }))).rejects.toEqual(
    refusal('E_AUTH', false, 'none is given'),
  );
  url.username = 'nobody_of_that_name';
  url.password = 'x';
  await expect(attempt(resolve({ url: url.href }))).rejects.toEqual(refusal('E_AUTH', false, '28P01'));
});

test('the password comes from the password file', async () => {
  await using database = await createTestDatabase();
  const url = new URL(database.url);
  const dir = mkdtempSync(join(tmpdir(), 'tailrace-passfile-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const PGPASSFILE = join(dir, 'pgpass');
  writeFileSync(PGPASSFILE, `${url.hostname}:*:${database.name}:*:${url.password}\n`, { mode: 0o600 });
  url.password = '';
  expect(await attempt(resolve({ url: url.href }, { PGPASSFILE }))).toBe('connected');
});

test('a password that SASLprep and percent-encoding change', async () => {
  await using database = await createTestDatabase();
  const password = 'p@ss:/%#\u00a0Ⅸ€';
  await database.query(`ALTER ROLE "${database.role}" PASSWORD '${password}'`);
  const url = new URL(database.url);
  url.password = encodeURIComponent(password);
  expect(await attempt(resolve({ url: url.href }))).toBe('connected');
});

test('a database that does not exist, a role that may not replicate, no connection left', async () => {
  await using database = await createTestDatabase();
  const url = new URL(database.url);
  url.pathname = '/no_such_database';
  await expect(attempt(resolve({ url: url.href }))).rejects.toEqual(refusal('E_CONNECT', false, '3D000'));
  await database.query(`ALTER ROLE "${database.role}" NOREPLICATION`);
  await expect(attempt(resolve({ url: database.url }), { replication: true })).rejects.toEqual(
    expect.objectContaining({
      code: 'E_PRIVILEGE',
      retriable: false,
      fix: expect.stringContaining(`ALTER ROLE "${database.role}" REPLICATION;`),
    }),
  );
  await database.query(`ALTER ROLE "${database.role}" CONNECTION LIMIT 0`);
  await expect(attempt(resolve({ url: database.url }))).rejects.toEqual(refusal('E_CONNECT', true, '53300'));
});

test('nothing listening, no such host', async () => {
  const port = await freePort();
  await expect(attempt(resolve({ host: '127.0.0.1', port, user: 'u' }))).rejects.toEqual(
    refusal('E_CONNECT', true, `127.0.0.1:${port}: nothing listens there`),
  );
  await expect(attempt(resolve({ host: 'nowhere.invalid', user: 'u' }))).rejects.toEqual(
    refusal('E_CONNECT', true, 'nowhere.invalid'),
  );
  await expect(attempt(resolve({ host: '/nowhere', user: 'u' }))).rejects.toEqual(
    refusal('E_CONNECT', true, 'no such Unix socket'),
  );
});

test('a host that accepts and says nothing is given up after connect_timeout, or at once when aborted', async () => {
  await using database = await createTestDatabase();
  const { port } = new URL(database.url);
  await using proxy = await startTcpProxy({ port: Number(port) });
  proxy.stall();
  const url = proxy.url(database.url);
  await expect(attempt(resolve({ url, connect_timeout: '100ms' }))).rejects.toEqual(
    refusal('E_CONNECT', true, 'within 100 ms'),
  );
  const controller = new AbortController();
  const pending = connect(resolve({ url }), { purpose: 'test', signal: controller.signal });
  const reason = new Error('enough');
  setTimeout(() => controller.abort(reason), 20);
  await expect(pending).rejects.toBe(reason);
});

test.each([10, 40, 130])(
  'a connection reset after %i bytes of the login is no refusal of the password',
  async (bytes) => {
    await using database = await createTestDatabase();
    await using proxy = await startTcpProxy({ port: Number(new URL(database.url).port) });
    proxy.cutAfter('down', bytes);
    await expect(attempt(resolve({ url: proxy.url(database.url) }))).rejects.toMatchObject({
      code: 'E_CONNECT',
      retriable: true,
    });
  },
);

test('the next host is tried when one cannot be reached, not when one refuses the password', async () => {
  await using database = await createTestDatabase();
  const { port, hostname, username, password } = new URL(database.url);
  const dead = await freePort();
  const hosts = `127.0.0.1:${dead},nowhere.invalid:1,${hostname}:${port}`;
  const url = `postgresql://${username}:${password}@${hosts}/${database.name}`;
  expect(await chooseHost(resolve({ url }), { purpose: 'test', signal })).toMatchObject({
    host: hostname,
    port: Number(port),
  });
  const wrong = `postgresql://${username}:wrong@${hostname}:${port},127.0.0.1:${dead}/${database.name}`;
  await expect(attempt(resolve({ url: wrong }))).rejects.toEqual(refusal('E_AUTH', false, '28P01'));
  const none = `postgresql://${username}:${password}@127.0.0.1:${dead},nowhere.invalid:1/${database.name}`;
  await expect(attempt(resolve({ url: none }))).rejects.toEqual(refusal('E_CONNECT', true, 'No host of 2'));
});

test('a session that is not of the wanted kind is left', async () => {
  await using database = await createTestDatabase();
  const { url } = database;
  const wanting = (target_session_attrs: string) => attempt(resolve({ url, target_session_attrs }));
  for (const wanted of ['any', 'primary', 'read-write', 'prefer-standby'])
    expect(await wanting(wanted)).toBe('connected');
  await expect(wanting('standby')).rejects.toEqual(refusal('E_CONNECT', true, 'it is no standby'));
  await expect(wanting('read-only')).rejects.toEqual(refusal('E_CONNECT', true, 'read-write'));
  await database.query(`ALTER ROLE "${database.role}" SET default_transaction_read_only = on`);
  await expect(wanting('read-write')).rejects.toEqual(refusal('E_CONNECT', true, 'read-only'));
  expect(await wanting('read-only')).toBe('connected');
  const { rows } = await database.query('SELECT FROM pg_stat_activity WHERE usename = $1', [database.role]);
  expect(rows).toEqual([]);
});

test('a lost connection does not end the process, the next query says it', async () => {
  await using database = await createTestDatabase();
  const client = await connect(resolve({ url: database.url }), { purpose: 'test', signal });
  const ended = new Promise((resolve) => client.once('end', resolve));
  await database.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [
    database.role,
  ]);
  await ended;
  await expect(client.query('SELECT 1')).rejects.toThrow();
});

/** Answers every connection with these bytes. */
async function answering(bytes: Buffer): Promise<{ readonly port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => socket.end(bytes));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return server.address() as AddressInfo;
}

function message(type: string, body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, body]);
}

test('the refusal of PgBouncer, byte for byte as version 1.18 sends it', async () => {
  const refused = 'SFATAL\0C08P01\0Munsupported startup parameter: replication\0\0';
  const { port } = await answering(message('E', Buffer.from(refused)));
  await expect(
    attempt(resolve({ host: '127.0.0.1', port, user: 'u' }), { replication: true }),
  ).rejects.toEqual(refusal('E_POOLER', false, '08P01'));
});

test('a pooler that drops the replication parameter is found out', async () => {
  await using database = await createTestDatabase();
  const { hostname, port } = new URL(database.url);
  // Forwards everything but the parameter, renamed in place to one that any role may set.
  const server = createServer((client) => {
    client.once('data', (startup) => {
      const upstream = connectTcp({ host: hostname, port: Number(port) });
      const text = startup.toString('latin1').replace('replication\0database', 'tailrace.ab\0database');
      upstream.write(text, 'latin1');
      client.pipe(upstream).pipe(client);
      for (const end of [client, upstream]) end.on('error', () => {});
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const url = new URL(database.url);
  url.port = String((server.address() as AddressInfo).port);
  await expect(attempt(resolve({ url: url.href }), { replication: true })).rejects.toEqual(
    refusal('E_POOLER', false, 'looks like a connection pooler'),
  );
});

test('an authentication method that pg does not know is an error, not a crash', async () => {
  const gssapi = message('R', Buffer.from([0, 0, 0, 7]));
  const { port } = await answering(gssapi);
  await expect(attempt(resolve({ host: '127.0.0.1', port, user: 'u' }))).rejects.toEqual(
    refusal('E_AUTH', false, 'authentication method'),
  );
});

test('a server that hangs up without a word may be back later', async () => {
  const { port } = await answering(Buffer.alloc(0));
  await expect(attempt(resolve({ host: '127.0.0.1', port, user: 'u' }))).rejects.toEqual(
    refusal('E_CONNECT', true, 'the connection is gone'),
  );
});

test('a server of another age is refused by name', async () => {
  const parameter = (name: string, value: string) => message('S', Buffer.from(`${name}\0${value}\0`));
  const { port } = await answering(
    Buffer.concat([
      message('R', Buffer.alloc(4)),
      parameter('server_version', '9.6.24'),
      message('Z', Buffer.from('I')),
    ]),
  );
  await expect(attempt(resolve({ host: '127.0.0.1', port, user: 'u' }))).rejects.toEqual(
    refusal('E_SERVER_VERSION', false, '9.6.24'),
  );
});
