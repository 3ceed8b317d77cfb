import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findPassword, lookUpPassword } from '../../../../connectors/postgres/connection/password-file.ts';

const host = { host: 'db', port: 5432 };
const who = { database: 'shop', user: 'tailrace' };

test.each([
  ['db:5432:shop:tailrace:secret', 'secret'],
  ['*:*:*:*:secret', 'secret'],
  ['db:5433:shop:tailrace:secret', undefined],
  ['other:5432:shop:tailrace:no\ndb:*:*:tailrace:first\n*:*:*:*:second', 'first'],
  ['# db:5432:shop:tailrace:comment\n\ndb:5432:shop:tailrace:real', 'real'],
  [String.raw`db:5432:shop:tailrace:with\:colon\\and backslash`, String.raw`with:colon\and backslash`],
  ['db:5432:shop:tailrace:rest:of:line', 'rest'],
  ['db:5432:shop:tailrace', undefined],
  ['db:5432:shop:tailrace:crlf\r\n', 'crlf'],
])('%j', (text, password) => {
  expect(findPassword(text, who, host)).toBe(password);
});

test('a host with colons is written with backslashes', () => {
  expect(findPassword(String.raw`\:\:1:*:*:*:six`, who, { host: '::1', port: 5432 })).toBe('six');
});

test('a Unix socket is also found as localhost', () => {
  expect(findPassword('localhost:*:*:*:local', who, { host: '/tmp', port: 5432 })).toBe('local');
});

test('a missing file is none, one that others may read is not used', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tailrace-passfile-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const passwordFile = join(dir, 'pgpass');
  const request = { ...who, passwordFile };
  expect(lookUpPassword(request, host)).toEqual({});
  writeFileSync(passwordFile, '*:*:*:*:secret', { mode: 0o600 });
  expect(lookUpPassword(request, host)).toEqual({ password: 'secret' });
  chmodSync(passwordFile, 0o644);
  expect(lookUpPassword(request, host).password).toBeUndefined();
  expect(lookUpPassword(request, host).ignored).toContain(passwordFile);
});
