import { expect, test } from 'vitest';
import { type PostgresSourceConfig, postgresSource } from '../../../../connectors/postgres/config.ts';
import {
  describeHost,
  type HostAddress,
  resolveConnection,
  sslModeFor,
} from '../../../../connectors/postgres/connection/connection-settings.ts';

function resolve(config: object, env: NodeJS.ProcessEnv = {}) {
  return resolveConnection(postgresSource.parse(config), env, () => 'account');
}

function tlsOf(config: object, env: NodeJS.ProcessEnv = {}): string {
  const settings = resolve(config, env);
  return sslModeFor(settings, settings.hosts[0] as HostAddress);
}

test('nothing given: this machine, the account, as libpq without Unix sockets', () => {
  expect(resolve({})).toMatchObject({
    hosts: [{ host: 'localhost', port: 5432 }],
    user: 'account',
    database: 'account',
    password: undefined,
    passwordFile: undefined,
    targetSessionAttrs: 'any',
    applicationName: 'tailrace',
    connectTimeoutMs: 10_000,
    keepAliveIdleMs: 30_000,
  });
});

test('option before URL before environment, each on its own', () => {
  const env = {
    PGHOST: 'env-host',
    PGUSER: 'env-user',
    PGDATABASE: 'env-db',
    PGPASSWORD: 'env-secret',
    PGCONNECT_TIMEOUT: '3',
    PGAPPNAME: 'env-app',
    PGPASSFILE: '/env/passfile',
    HOME: '/home/me',
  };
  const settings = resolve({ url: 'postgresql://url-user@url-host', application_name: 'option-app' }, env);
  expect(settings).toMatchObject({
    hosts: [{ host: 'url-host' }],
    user: 'url-user',
    database: 'env-db',
    connectTimeoutMs: 3000,
    applicationName: 'option-app',
    passwordFile: '/env/passfile',
    certificateDir: '/home/me/.postgresql',
  });
  expect(settings.password?.()).toBe('env-secret');
  expect(resolve({ host: 'h', connect_timeout: '1500ms' }, env).connectTimeoutMs).toBe(1500);
  expect(resolve({}, { HOME: '/home/me' }).passwordFile).toBe('/home/me/.pgpass');
});

test('printing settings prints no secret', () => {
  const settings = resolve({
    url: 'postgresql://u:hunter2@h?sslpassword=hunter3',
    ssl: { cert: '/c', key: '-----BEGIN hunter4' },
  });
  expect(JSON.stringify(settings)).not.toMatch(/hunter/);
});

test('the database is called like the user unless said', () => {
  expect(resolve({ url: 'postgresql://alice@h' }).database).toBe('alice');
});

test.each<[object, readonly object[]]>([
  [
    { url: 'postgresql://a:1,b,c:3/db' },
    [
      { host: 'a', port: 1 },
      { host: 'b', port: 5432 },
      { host: 'c', port: 3 },
    ],
  ],
  [
    { host: 'a,b', port: 6000 },
    [
      { host: 'a', port: 6000 },
      { host: 'b', port: 6000 },
    ],
  ],
  [
    { host: 'a,b', port: '6000,6001' },
    [
      { host: 'a', port: 6000 },
      { host: 'b', port: 6001 },
    ],
  ],
  [{ url: 'postgresql://db.example/?hostaddr=10.0.0.1' }, [{ host: 'db.example', address: '10.0.0.1' }]],
  [{ url: 'postgresql:///?hostaddr=10.0.0.1,10.0.0.2' }, [{ host: '10.0.0.1' }, { host: '10.0.0.2' }]],
  [{ host: '/var/run/postgresql' }, [{ host: '/var/run/postgresql', port: 5432 }]],
])('hosts of %j', (config, hosts) => {
  expect(resolve(config).hosts).toMatchObject(hosts);
});

test('one host will do as it is, of several the primary', () => {
  expect(resolve({ host: 'a,b' }).targetSessionAttrs).toBe('primary');
  expect(resolve({ host: 'a,b', target_session_attrs: 'any' }).targetSessionAttrs).toBe('any');
  expect(resolve({ host: 'a' }, { PGTARGETSESSIONATTRS: 'standby' }).targetSessionAttrs).toBe('standby');
});

test.each([
  [{ host: 'localhost' }, 'disable'],
  [{ host: '127.0.0.1' }, 'disable'],
  [{ host: '::1' }, 'disable'],
  [{ host: '/tmp' }, 'disable'],
  [{ host: '/tmp', ssl: { mode: 'require' } }, 'disable'],
  [{ host: 'db.example.com' }, 'verify-full'],
  [{ host: '10.0.0.1' }, 'verify-full'],
  [{ host: '127.evil.example' }, 'verify-full'],
  [{ url: 'postgresql://localhost/?hostaddr=10.0.0.1' }, 'verify-full'],
  [{ host: 'localhost', ssl: { mode: 'verify-full' } }, 'verify-full'],
  [{ host: 'localhost', ssl: { ca: '/ca' } }, 'verify-full'],
  [{ host: 'db', ssl: { mode: 'disable' } }, 'disable'],
  [{ url: 'postgresql://db/?sslmode=verify-ca' }, 'verify-ca'],
])('encryption of %j: %s', (config, mode) => {
  expect(tlsOf(config)).toBe(mode);
});

test('PGSSLMODE and its companions', () => {
  expect(tlsOf({ host: 'db' }, { PGSSLMODE: 'require' })).toBe('require');
  expect(
    resolve({ host: 'db' }, { PGSSLROOTCERT: '/ca', PGSSLCERT: '/crt', PGSSLKEY: '/key' }).tls,
  ).toMatchObject({
    ca: '/ca',
    cert: '/crt',
  });
});

test.each<[string, object, NodeJS.ProcessEnv, string]>([
  [
    'fallback in the URL',
    { url: 'postgresql://h/?sslmode=prefer' },
    {},
    'sslmode of source.url: prefer is refused',
  ],
  ['fallback in the environment', {}, { PGSSLMODE: 'allow' }, 'PGSSLMODE: allow is refused'],
  ['unknown mode', {}, { PGSSLMODE: 'full' }, 'PGSSLMODE: "full" is none of'],
  ['require with a CA', { ssl: { mode: 'require', ca: '/ca' } }, {}, 'write verify-full or verify-ca'],
  ['certificate without key', { ssl: { cert: '/c' } }, {}, 'source.ssl.cert: a client certificate'],
  ['said twice', { url: 'postgresql://u@h', user: 'v' }, {}, 'source.url says user and so does source.user'],
  ['ports and hosts', { host: 'a,b,c', port: '1,2' }, {}, '2 ports do not go with 3 hosts'],
  ['addresses and hosts', { url: 'postgresql://a,b/?hostaddr=10.0.0.1' }, {}, '1 addresses do not go with 2'],
  ['port', {}, { PGPORT: '70000' }, 'PGPORT: "70000" is not a port'],
  ['address', {}, { PGHOSTADDR: 'db' }, '"db" is not an IP address'],
  ['timeout', {}, { PGCONNECT_TIMEOUT: 'soon' }, 'PGCONNECT_TIMEOUT: "soon" is not a whole number'],
  ['channel binding', { url: 'postgresql://h/?channel_binding=require' }, {}, 'cannot be enforced'],
  ['service', {}, { PGSERVICE: 'prod' }, 'PGSERVICE'],
  ['abstract socket', { host: '@x' }, {}, 'abstract'],
])('refused: %s', (_what, config, env, message) => {
  expect(() => resolve(config, env)).toThrow(message);
  expect(() => resolve(config, env)).toThrow(expect.objectContaining({ code: 'E_CONFIG', exitCode: 2 }));
});

test('no name for the account', () => {
  const config: Partial<PostgresSourceConfig> = {};
  expect(() => resolveConnection(config, {}, () => undefined)).toThrow('no name');
});

test('keepalives and time-outs by libpq', () => {
  expect(resolve({ url: 'postgresql://h/?keepalives=0' }).keepAliveIdleMs).toBeUndefined();
  expect(resolve({ url: 'postgresql://h/?keepalives_idle=7' }).keepAliveIdleMs).toBe(7000);
  expect(resolve({ url: 'postgresql://h/?connect_timeout=0' }).connectTimeoutMs).toBe(0);
});

test('hosts in messages', () => {
  expect(describeHost({ host: 'db', port: 1 })).toBe('db:1');
  expect(describeHost({ host: '::1', port: 1 })).toBe('[::1]:1');
});
