import { expect, test } from 'vitest';
import { postgresSource } from '../../../../connectors/postgres/config.ts';
import { clientConfig } from '../../../../connectors/postgres/connection/connect.ts';
import {
  type HostAddress,
  resolveConnection,
} from '../../../../connectors/postgres/connection/connection-settings.ts';

function configFor(source: object, host?: HostAddress, replication = false) {
  const settings = resolveConnection(postgresSource.parse(source), {}, () => 'account');
  const [first] = settings.hosts;
  if (first === undefined) throw new Error('no host');
  return clientConfig(settings, host ?? first, { purpose: 'stream', replication });
}

test('a walsender asks for the database, and its time limits are off in the start-up packet', () => {
  const { replication, options, application_name } = configFor({}, undefined, true);
  expect(replication).toBe('database');
  expect(application_name).toBe('tailrace/stream');
  expect(options).toContain('-c statement_timeout=0');
  expect(options).toContain(String.raw`-c DateStyle=ISO,\ MDY`);
  expect(configFor({}).replication).toBeUndefined();
  expect(configFor({}).options).toContain('-c statement_timeout=60s');
});

test('what the user asks the server for comes first, so that it cannot undo what is pinned', () => {
  const { options } = configFor({ url: 'postgresql://h/?options=-c%20TimeZone%3DAsia%2FTokyo' });
  expect(options).toMatch(/^-c TimeZone=Asia\/Tokyo .*-c TimeZone=UTC/);
});

test('TCP keepalive is on, so that a host that is gone is noticed', () => {
  expect(configFor({})).toMatchObject({ keepAlive: true, keepAliveInitialDelayMillis: 30_000 });
  expect(configFor({ url: 'postgresql://h/?keepalives=0' }).keepAlive).toBe(false);
});

test('TLS goes to the address that was found and is for the name that was asked for', () => {
  const found = { host: 'db.example.com', port: 5432, address: '10.0.0.1' };
  const { host, ssl, enableChannelBinding } = configFor({ host: 'db.example.com' }, found);
  expect(host).toBe('10.0.0.1');
  expect(ssl).toMatchObject({ servername: 'db.example.com', rejectUnauthorized: true });
  expect(enableChannelBinding).toBe(true);
  expect(configFor({ host: '10.0.0.1' }).ssl).not.toHaveProperty('servername');
  expect(configFor({ host: 'localhost' })).toMatchObject({ ssl: false, enableChannelBinding: false });
});

test('application_name fits into what the server keeps', () => {
  const { application_name } = configFor({ application_name: 'x'.repeat(80) });
  expect(application_name).toHaveLength(63);
  expect(application_name).toMatch(/\/stream$/);
});

test('a password that is not given is asked for only when the server wants one', () => {
  const { password } = configFor({ user: 'u' });
  expect(password).toThrow(expect.objectContaining({ code: 'E_AUTH' }));
});
