import { DatabaseError } from 'pg';
import type { ErrorCode } from '../../../src/errors/codes.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';

interface Meaning {
  readonly code: ErrorCode;
  readonly says: string;
  readonly retriable?: boolean | undefined;
  readonly fix?: string | undefined;
}

const GRANTS = '`tailrace sql` prints the privileges the role needs';

/** https://www.postgresql.org/docs/current/errcodes-appendix.html; single codes before their classes. */
const SQLSTATES: Readonly<Record<string, Meaning>> = {
  '08P01': {
    code: 'E_POOLER',
    says: 'a connection pooler answers, which does not carry the replication protocol',
    fix: "source: { url: the server's own address and port }",
  },
  '08': { code: 'E_CONNECT', says: 'the connection broke', retriable: true },
  '22021': { code: 'E_ENCODING', says: 'a value is not valid in the encoding of the database' },
  '22P05': { code: 'E_ENCODING', says: 'a value has no equivalent in UTF-8' },
  '28P01': {
    code: 'E_AUTH',
    says: 'the server refuses the password',
    fix: 'source: { password: ... } or PGPASSWORD or the password file',
  },
  '28': {
    code: 'E_AUTH',
    says: 'the server refuses the role',
    fix: 'the role has to exist and may LOGIN, and pg_hba.conf has to let it in from this address',
  },
  '3D000': {
    code: 'E_CONNECT',
    says: 'the database does not exist',
    fix: 'source: { database: <name> }',
  },
  '40': { code: 'E_STREAM', says: 'the server rolled the transaction back', retriable: true },
  '42501': { code: 'E_PRIVILEGE', says: 'the role lacks a privilege', fix: GRANTS },
  '53300': {
    code: 'E_CONNECT',
    says: 'the server has no connection or WAL sender left',
    retriable: true,
    fix: 'raise max_connections or max_wal_senders, or close what is not needed',
  },
  '53': { code: 'E_CONNECT', says: 'the server is out of memory, disk or connections', retriable: true },
  '55006': { code: 'E_SLOT_ACTIVE', says: 'another connection holds the object', retriable: true },
  '55P03': { code: 'E_STREAM', says: 'a lock was not to be had in time', retriable: true },
  '57P04': { code: 'E_CONNECT', says: 'the database was dropped' },
  '57': { code: 'E_CONNECT', says: 'the server ended the session', retriable: true },
  '57014': { code: 'E_STREAM', says: 'the server cancelled the statement', retriable: true },
  '58': { code: 'E_STREAM', says: 'the server met a system error', retriable: true },
  XX: { code: 'E_STREAM', says: 'the server met an internal error', retriable: true },
};

/** X509 verification results as Node.js names them. https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const CERTIFICATE_ERRORS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "the server's certificate has expired",
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet",
  CERT_REVOKED: "the server's certificate has been revoked",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the server's certificate is signed by itself, not by a trusted authority",
  SELF_SIGNED_CERT_IN_CHAIN: "the authority that signed the server's certificate is not trusted",
  UNABLE_TO_GET_ISSUER_CERT: "the authority that signed the server's certificate is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the authority that signed the server's certificate is not trusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the authority that signed the server's certificate is not trusted",
  UNABLE_TO_GET_CRL: 'no certificate revocation list of the authority is given',
  CERT_SIGNATURE_FAILURE: "the signature of the server's certificate is wrong",
  CERT_UNTRUSTED: "the server's certificate is not trusted",
  CERT_REJECTED: "the server's certificate is rejected",
  CERT_CHAIN_TOO_LONG: "the server's certificate chain is too long",
  INVALID_CA: "the server's certificate is signed by something that is no authority",
  INVALID_PURPOSE: "the server's certificate is not for servers",
  PATH_LENGTH_EXCEEDED: "the server's certificate chain is too long",
  HOSTNAME_MISMATCH: "the server's certificate is for another name",
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another name",
  ERR_TLS_CERT_ALTNAME_FORMAT: "the names of the server's certificate are malformed",
};

/**
 * What went wrong, by SQLSTATE and error class. `context` says what was being done and where: `reading the catalog of db.example.com:5432`.
 * Errors that are translated already are returned as they are.
 */
export function translateError(error: unknown, context: string): TailraceError {
  if (error instanceof TailraceError) return error;
  const meaning = meaningOf(error);
  return new TailraceError({
    code: meaning.code,
    message: `${context}: ${meaning.says}${error instanceof DatabaseError ? ` (SQLSTATE ${error.code})` : ''}.`,
    fix: meaning.fix,
    retriable: meaning.retriable,
    cause: error,
  });
}

/** What is wrong with the server's certificate, or undefined when the error is about something else. */
export function certificateProblem(error: unknown): string | undefined {
  return CERTIFICATE_ERRORS[errorCode(error) ?? ''];
}

function meaningOf(error: unknown): Meaning {
  if (error instanceof DatabaseError) {
    const sqlState = error.code ?? '';
    return (
      SQLSTATES[sqlState] ??
      SQLSTATES[sqlState.slice(0, 2)] ?? { code: 'E_STREAM', says: 'the server answered with an error' }
    );
  }
  const certificate = certificateProblem(error);
  if (certificate !== undefined) return { code: 'E_TLS', says: certificate };
  const code = errorCode(error);
  if (code === undefined) {
    // What pg itself raises when a connection ends has no class and no code.
    return error instanceof Error && error.constructor === Error
      ? { code: 'E_CONNECT', says: 'the connection is gone', retriable: true }
      : { code: 'E_INTERNAL', says: 'unexpected error' };
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) {
    return {
      code: 'E_TLS',
      says: `the TLS handshake failed (${code})`,
      fix: 'check source.ssl: the client certificate if the server wants one, and the protocol versions',
    };
  }
  if (code.startsWith('ERR_')) return { code: 'E_INTERNAL', says: 'unexpected error' };
  return { code: 'E_CONNECT', says: NETWORK_ERRORS[code] ?? `the network failed (${code})`, retriable: true };
}

const NETWORK_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there (ECONNREFUSED)',
  ECONNRESET: 'the connection was reset (ECONNRESET)',
  EPIPE: 'the connection was reset (EPIPE)',
  ENOTFOUND: 'the host name is unknown (ENOTFOUND)',
  EAI_AGAIN: 'the host name cannot be looked up now (EAI_AGAIN)',
  ETIMEDOUT: 'no answer (ETIMEDOUT)',
  ENOENT: 'there is no such Unix socket (ENOENT)',
};

function errorCode(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
