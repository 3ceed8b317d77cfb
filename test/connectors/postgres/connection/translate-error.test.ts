import { DatabaseError } from 'pg';
import { expect, test } from 'vitest';
import { translateError } from '../../../../connectors/postgres/connection/translate-error.ts';
import { TailraceError } from '../../../../src/errors/tailrace-error.ts';

function databaseError(code: string): DatabaseError {
  const error = new DatabaseError('row value 4711 of somebody', 0, 'error');
  error.code = code;
  error.detail = 'Key (id)=(4711) exists';
  return error;
}

function networkError(code: string): Error {
  return Object.assign(new Error('failed'), { code });
}

test.each([
  ['08006', 'E_CONNECT', true],
  ['08P01', 'E_POOLER', false],
  ['22021', 'E_ENCODING', false],
  ['22P05', 'E_ENCODING', false],
  ['28000', 'E_AUTH', false],
  ['28P01', 'E_AUTH', false],
  ['3D000', 'E_CONNECT', false],
  ['40001', 'E_STREAM', true],
  ['40P01', 'E_STREAM', true],
  ['42501', 'E_PRIVILEGE', false],
  ['42601', 'E_STREAM', false],
  ['53100', 'E_CONNECT', true],
  ['53300', 'E_CONNECT', true],
  ['55006', 'E_SLOT_ACTIVE', true],
  ['55P03', 'E_STREAM', true],
  ['57014', 'E_STREAM', true],
  ['57P01', 'E_CONNECT', true],
  ['57P02', 'E_CONNECT', true],
  ['57P03', 'E_CONNECT', true],
  ['57P04', 'E_CONNECT', false],
  ['58030', 'E_STREAM', true],
  ['XX000', 'E_STREAM', true],
  ['ZZ999', 'E_STREAM', false],
])('SQLSTATE %s: %s, retriable %s', (sqlState, code, retriable) => {
  const cause = databaseError(sqlState);
  const error = translateError(cause, 'Doing it at db:5432');
  expect(error).toMatchObject({ code, retriable, cause });
  expect(error.message).toMatch(/^Doing it at db:5432: .*\(SQLSTATE .{5}\)\.$/);
  expect(error.message).not.toContain('4711');
});

test.each([
  ['ECONNREFUSED', 'E_CONNECT', true],
  ['ECONNRESET', 'E_CONNECT', true],
  ['ENOTFOUND', 'E_CONNECT', true],
  ['EHOSTUNREACH', 'E_CONNECT', true],
  ['CERT_HAS_EXPIRED', 'E_TLS', false],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'E_TLS', false],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'E_TLS', false],
  ['EPROTO', 'E_TLS', false],
  ['ERR_INVALID_ARG_TYPE', 'E_INTERNAL', false],
])('error code %s: %s, retriable %s', (nodeCode, code, retriable) => {
  expect(translateError(networkError(nodeCode), 'Doing it')).toMatchObject({ code, retriable });
});

test('what pg says of a closed connection has no code; a defect of ours is no network failure', () => {
  expect(translateError(new Error('Connection terminated unexpectedly'), 'x')).toMatchObject({
    code: 'E_CONNECT',
    retriable: true,
  });
  expect(translateError(new TypeError('undefined is not a function'), 'x').code).toBe('E_INTERNAL');
  expect(translateError('thrown', 'x').code).toBe('E_INTERNAL');
});

test('what is translated already stays as it is', () => {
  const error = new TailraceError({ code: 'E_GAP', message: 'gone' });
  expect(translateError(error, 'x')).toBe(error);
});
