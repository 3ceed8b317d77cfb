import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  conninfoFromEnvironment,
  parseConnectionUrl,
} from '../../../../connectors/postgres/connection/conninfo.ts';

// Expectations are those of libpq's own regression test, src/interfaces/libpq/t/001_uri.pl, where it has the case.
test.each<[string, Record<string, string>]>([
  [
    'postgresql://uri-user:secret@host:12345/db',
    { user: 'uri-user', password: 'secret', host: 'host', port: '12345', dbname: 'db' },
  ],
  ['postgresql://uri-user@host/db', { user: 'uri-user', host: 'host', dbname: 'db' }],
  ['postgresql://host:12345/', { host: 'host', port: '12345' }],
  ['postgresql://host/db', { host: 'host', dbname: 'db' }],
  ['postgresql://', {}],
  ['postgres://', {}],
  ['postgresql:///', {}],
  ['postgresql:///db', { dbname: 'db' }],
  ['postgresql://uri-user@/db', { user: 'uri-user', dbname: 'db' }],
  ['postgresql://?host=/path/to/socket/dir', { host: '/path/to/socket/dir' }],
  ['postgresql://host/db?user=other', { host: 'host', dbname: 'db', user: 'other' }],
  ['postgresql://uri-user@host/db?user=other', { host: 'host', dbname: 'db', user: 'other' }],
  ['postgresql://host?user=uri-user&port=12345', { host: 'host', user: 'uri-user', port: '12345' }],
  ['postgresql://%68ost/', { host: 'host' }],
  ['postgresql://host/db?u%73er=uri-user', { host: 'host', dbname: 'db', user: 'uri-user' }],
  ['postgresql://%2Fvar%2Flib%2Fpostgresql/dbname', { host: '/var/lib/postgresql', dbname: 'dbname' }],
  ['postgresql://[200z:db8::1234]/', { host: '200z:db8::1234' }],
  ['postgresql://[2001:db8::1234]:5433/db', { host: '2001:db8::1234', port: '5433', dbname: 'db' }],
  ['postgresql://[::1]/db?application_name=a%20b', { host: '::1', dbname: 'db', application_name: 'a b' }],
  ['postgresql://host1:1,host2:2,host3/db', { host: 'host1,host2,host3', port: '1,2,', dbname: 'db' }],
  ['postgresql://a,b/db', { host: 'a,b', dbname: 'db' }],
  ['postgresql://user:@host', { user: 'user', host: 'host' }],
  ['postgresql://us%3Aer:p%40%2F%3A%25@host', { user: 'us:er', password: 'p@/:%', host: 'host' }],
  ['postgresql://host/db?client_encoding=UTF8&gssencmode=prefer&sslsni=1', { host: 'host', dbname: 'db' }],
  ['postgresql://host/?options=-c%20work_mem%3D8MB', { host: 'host', options: '-c work_mem=8MB' }],
])('%s', (url, expected) => {
  expect(parseConnectionUrl(url)).toEqual(expected);
});

test.each([
  ['postgre://', 'begin with postgresql://'],
  ['host=localhost', 'begin with postgresql://'],
  ['postgresql://[::1', 'IPv6'],
  ['postgresql://[]', 'IPv6'],
  ['postgresql://[::1]z', 'IPv6'],
  ['postgresql://%zz', 'percent'],
  ['postgresql://%1', 'percent'],
  ['postgresql://%00', 'percent'],
  ['postgresql://host/?zzz', 'no value'],
  ['postgresql://host/?a=b=c', 'second ='],
  ['postgresql://host/?zzz=1', '"zzz" is not supported'],
  ['postgresql://host/?ssl=true', 'sslmode=verify-full'],
  ['postgresql://host/?requirepeer=root', 'not supported'],
  ['postgresql://host/?service=x', 'not supported'],
  ['postgresql://host/?gssencmode=require', 'only be disable or prefer'],
  ['postgresql://host/?client_encoding=latin1', 'only be utf8'],
])('%s is refused', (url, why) => {
  expect(() => parseConnectionUrl(url)).toThrow(why);
  expect(() => parseConnectionUrl(url)).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
});

test('no mistake in a URL prints its password', () => {
  const bad = [
    'postgresql://u:hunter2@h/?x',
    'postgresql://u:hunter2%@h',
    'postgresql://h/?password=hunter2&zz=1',
    'postgresql://u:hun@hunter2@[/',
  ];
  for (const url of bad) expect(() => parseConnectionUrl(url)).not.toThrow(/hunter2/);
});

test('any names survive percent-encoding', () => {
  const name = fc
    .string({ minLength: 1, unit: 'binary' })
    .filter((text) => !text.includes('\0') && text.isWellFormed());
  fc.assert(
    fc.property(name, name, name, (user, password, dbname) => {
      const [u, p, d] = [user, password, dbname].map(encodeURIComponent);
      const read = parseConnectionUrl(`postgresql://${u}:${p}@h/${d}`);
      expect(read).toEqual({ user, password, host: 'h', dbname });
    }),
  );
});

test('PG* variables, empty ones as if unset', () => {
  expect(conninfoFromEnvironment({ PGHOST: 'h', PGPORT: '', PGSSLROOTCERT: '/ca', HOME: '/root' })).toEqual({
    host: 'h',
    sslrootcert: '/ca',
  });
  expect(() => conninfoFromEnvironment({ PGREQUIREAUTH: 'scram-sha-256' })).toThrow('PGREQUIREAUTH');
});
