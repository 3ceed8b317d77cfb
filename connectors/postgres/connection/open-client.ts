import type { PeerCertificate } from 'node:tls';
import { Client, type ClientConfig, DatabaseError, escapeIdentifier } from 'pg';
import type { ErrorCode } from '../../../src/errors/codes.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { describeHost, type HostAddress } from './connection-settings.ts';
import { Handshake } from './handshake.ts';
import { describeCertificate, readPeerCertificate } from './peer-certificate.ts';
import { PIN_NEWER_PARAMETERS } from './session-parameters.ts';
import { certificateProblem, translateError } from './translate-error.ts';

const OLDEST_SERVER = 14;

export interface OpenedClient {
  readonly client: Client;
  /** What the server reported after start-up: in_hot_standby, server_version... */
  readonly parameters: ReadonlyMap<string, string>;
}

export interface OpenOptions {
  readonly config: ClientConfig;
  readonly host: HostAddress;
  /** 0 = wait for ever. */
  readonly timeoutMs: number;
  readonly replication: boolean;
  readonly signal: AbortSignal;
}

/** One attempt at one address. Errors as of connect(). */
export async function openClient({
  config,
  host,
  timeoutMs,
  replication,
  signal,
}: OpenOptions): Promise<OpenedClient> {
  signal.throwIfAborted();
  const client = new Client({ ...config, connectionTimeoutMillis: 0 });
  // First of all: an error event without a listener ends the process.
  client.on('error', () => {});
  const handshake = new Handshake(client);
  const timer =
    timeoutMs === 0 ? undefined : setTimeout(() => handshake.end(tooSlow(host, timeoutMs)), timeoutMs);
  const abort = (): void => handshake.end(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await client.connect();
    requireVersion(handshake.parameters, host);
    if (replication) await requireWalSender(client, host);
    await client.query(PIN_NEWER_PARAMETERS);
    return { client, parameters: handshake.parameters };
  } catch (error) {
    handshake.end(error);
    signal.throwIfAborted();
    throw await explain(handshake.ended ?? error, { config, host, handshake });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

function tooSlow(host: HostAddress, timeoutMs: number): TailraceError {
  return new TailraceError({
    code: 'E_CONNECT',
    message: `${describeHost(host)} did not accept the connection within ${timeoutMs} ms.`,
    fix: 'check address and firewall, or give it longer with source: { connect_timeout: 30s }',
    retriable: true,
  });
}

function requireVersion(parameters: ReadonlyMap<string, string>, host: HostAddress): void {
  const version = parameters.get('server_version') ?? '';
  // '18.4 (Debian 18.4-1)', '19beta1'
  const major = Number.parseInt(version, 10);
  if (major >= OLDEST_SERVER) return;
  throw new TailraceError({
    code: 'E_SERVER_VERSION',
    message: `${describeHost(host)} is PostgreSQL ${JSON.stringify(version)}; version ${OLDEST_SERVER} is the oldest that works.`,
  });
}

/** A pooler that drops the `replication` start-up parameter hands out an ordinary session, to which this is a syntax error. */
async function requireWalSender(client: Client, host: HostAddress): Promise<void> {
  try {
    const { rows } = await client.query<{ systemid?: unknown }>('IDENTIFY_SYSTEM');
    if (rows[0]?.systemid !== undefined) return;
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.code !== '42601') throw error;
  }
  throw new TailraceError({
    code: 'E_POOLER',
    message: `${describeHost(host)} answers, but not as a WAL sender: it looks like a connection pooler, which does not carry the replication protocol.`,
    fix: "source: { url: the server's own address and port }",
  });
}

async function explain(error: unknown, { config, host, handshake }: Failure): Promise<TailraceError> {
  if (error instanceof TailraceError) return error;
  const where = `Connecting to ${describeHost(host)}`;
  if (handshake.tlsRefused) {
    return new TailraceError({
      code: 'E_TLS',
      message: `${where}: the server does not offer TLS.`,
      fix: 'turn on ssl in postgresql.conf; or, on a network where nobody else listens: source: { ssl: { mode: disable } }',
      cause: error,
    });
  }
  const problem = certificateProblem(error);
  if (problem !== undefined) {
    const certificate =
      certificateOf(error) ?? (await readPeerCertificate(host, config.sslnegotiation ?? 'postgres'));
    const shown = certificate === undefined ? '' : ` It shows ${describeCertificate(certificate)}.`;
    return new TailraceError({
      code: 'E_TLS',
      message: `${where}: ${problem}. Expected: a trusted certificate for ${host.host}.${shown}`,
      fix: 'connect by a name that the certificate bears; an authority of your own is trusted by source: { ssl: { ca: /path/to/ca.pem } }',
      cause: error,
    });
  }
  if (error instanceof DatabaseError) return explainRefusal(error, { config, where });
  if (handshake.unreadable) {
    return new TailraceError({
      code: 'E_AUTH',
      message: `${where}: the server wants an authentication method that is not supported, or is not PostgreSQL.`,
      fix: 'let the role in by scram-sha-256, md5, password, cert or trust in pg_hba.conf',
      cause: error,
    });
  }
  if (handshake.failedAuthentication) {
    return new TailraceError({
      code: 'E_AUTH',
      message: `${where}: the password exchange failed.`,
      fix: 'check the password, and that the server uses scram-sha-256 or md5',
      cause: error,
    });
  }
  return translateError(error, where);
}

/** The same SQLSTATE means something more definite during start-up. */
function explainRefusal(error: DatabaseError, { config, where }: Refusal): TailraceError {
  const refusal = REFUSALS[error.code ?? ''];
  if (refusal === undefined) return translateError(error, where);
  const role = escapeIdentifier(config.user ?? '');
  const database = escapeIdentifier(config.database ?? '');
  return new TailraceError({
    ...refusal,
    message: `${where}: ${refusal.says} (SQLSTATE ${error.code}).`,
    fix: refusal.fix.replaceAll('<role>', role).replaceAll('<database>', database),
    cause: error,
  });
}

const REFUSALS: Readonly<Record<string, { code: ErrorCode; says: string; fix: string }>> = {
  '42704': {
    code: 'E_SERVER_VERSION',
    says: 'the server does not know a session parameter',
    fix: `PostgreSQL ${OLDEST_SERVER} is the oldest that works; also check PGOPTIONS and options= of the URL`,
  },
  '22023': {
    code: 'E_CONFIG',
    says: 'the server refuses the value of a session parameter',
    fix: 'check PGOPTIONS and options= of the URL',
  },
  '42501': {
    code: 'E_PRIVILEGE',
    says: 'the role may not connect in this way',
    fix: 'ALTER ROLE <role> REPLICATION;\nGRANT CONNECT ON DATABASE <database> TO <role>;',
  },
};

interface Refusal {
  readonly config: ClientConfig;
  readonly where: string;
}

interface Failure {
  readonly config: ClientConfig;
  readonly host: HostAddress;
  readonly handshake: Handshake;
}

function certificateOf(error: unknown): PeerCertificate | undefined {
  return error instanceof Error && 'cert' in error ? (error.cert as PeerCertificate) : undefined;
}
