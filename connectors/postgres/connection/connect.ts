import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Client, ClientConfig } from 'pg';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { TargetSessionAttrs } from '../config.ts';
import {
  type ConnectionSettings,
  describeHost,
  type HostAddress,
  isSocketDirectory,
} from './connection-settings.ts';
import { endClient } from './end-client.ts';
import { openClient } from './open-client.ts';
import { lookUpPassword } from './password-file.ts';
import { applicationName, serverOptions } from './session-parameters.ts';
import { sessionMismatch } from './target-session.ts';
import { tlsOptions } from './tls-options.ts';
import { translateError } from './translate-error.ts';

export interface ConnectOptions {
  /** A word for application_name: `stream`, `catalog`, `check`. */
  readonly purpose: string;
  /** A walsender: replication commands, and SQL by the simple protocol only (no parameters). */
  readonly replication?: boolean | undefined;
  readonly signal: AbortSignal;
}

/**
 * Connects to the first host that answers and suits `targetSessionAttrs`; names are looked up anew each time. The caller ends the client.
 * Its `error` event has a listener already, so that a connection lost while idle does not end the process: the next query says it.
 * Throws E_CONNECT (retriable), E_AUTH, E_TLS, E_POOLER, E_PRIVILEGE, E_SERVER_VERSION; the signal's reason when aborted.
 */
export async function connect(settings: ConnectionSettings, options: ConnectOptions): Promise<Client> {
  const { client } = await connectToHost(settings, options);
  return client;
}

/** The host that {@link connect} would choose now: for clients that somebody else makes with {@link clientConfig}. */
export async function chooseHost(
  settings: ConnectionSettings,
  options: ConnectOptions,
): Promise<HostAddress> {
  const { client, host } = await connectToHost(settings, options);
  await endClient(client);
  return host;
}

/** What a pg client (or a service that makes one) takes for one host. Reads certificate files; throws E_TLS for one it cannot read. */
export function clientConfig(
  settings: ConnectionSettings,
  host: HostAddress,
  { purpose, replication = false }: Pick<ConnectOptions, 'purpose' | 'replication'>,
): ClientConfig & { readonly replication?: 'database' | undefined } {
  const ssl = tlsOptions(settings, host);
  // Everything is said here: what is left out pg would take from PG* variables by rules of its own.
  return {
    host: host.address ?? host.host,
    port: host.port,
    database: settings.database,
    user: settings.user,
    password: () => passwordFor(settings, host),
    ssl: ssl === false ? false : { ...ssl, ...(isIP(host.host) === 0 ? { servername: host.host } : {}) },
    sslnegotiation: ssl === false ? 'postgres' : settings.tls.negotiation,
    enableChannelBinding: ssl !== false && settings.tls.channelBinding,
    application_name: applicationName(settings, purpose),
    options: serverOptions(settings, replication),
    connectionTimeoutMillis: settings.connectTimeoutMs,
    keepAlive: settings.keepAliveIdleMs !== undefined,
    ...(settings.keepAliveIdleMs === undefined
      ? {}
      : { keepAliveInitialDelayMillis: settings.keepAliveIdleMs }),
    ...(replication ? { replication: 'database' } : {}),
  };
}

interface Connected {
  readonly client: Client;
  readonly host: HostAddress;
}

interface Attempt {
  readonly settings: ConnectionSettings;
  readonly options: ConnectOptions;
  readonly wanted: TargetSessionAttrs;
}

async function connectToHost(settings: ConnectionSettings, options: ConnectOptions): Promise<Connected> {
  const attrs = settings.targetSessionAttrs;
  const rounds = attrs === 'prefer-standby' ? (['standby', 'any'] as const) : [attrs];
  const failures: TailraceError[] = [];
  for (const wanted of rounds) {
    for (const named of settings.hosts) {
      for (const host of await lookUp(named, options.signal)) {
        const outcome =
          host instanceof TailraceError ? host : await tryAddress(host, { settings, options, wanted });
        if (!(outcome instanceof TailraceError)) return outcome;
        failures.push(outcome);
      }
    }
  }
  throw allFailed(failures);
}

/**
 * As libpq does, goes on to the next host when this one cannot be reached or is not what is wanted; a server that answers and refuses ends
 * the search.
 */
async function tryAddress(
  host: HostAddress,
  { settings, options, wanted }: Attempt,
): Promise<Connected | TailraceError> {
  try {
    const { client, parameters } = await openClient({
      config: clientConfig(settings, host, options),
      host,
      timeoutMs: settings.connectTimeoutMs,
      replication: options.replication === true,
      signal: options.signal,
    });
    const mismatch = sessionMismatch(parameters, wanted);
    if (mismatch === undefined) return { client, host };
    await endClient(client);
    return new TailraceError({
      code: 'E_CONNECT',
      message: `${describeHost(host)} is not used: ${mismatch}, and target_session_attrs is ${settings.targetSessionAttrs}.`,
      retriable: true,
    });
  } catch (error) {
    if (error instanceof TailraceError && error.code === 'E_CONNECT' && error.retriable) return error;
    throw error;
  }
}

/** All addresses of a name, in the resolver's order. */
async function lookUp(
  named: HostAddress,
  signal: AbortSignal,
): Promise<readonly (HostAddress | TailraceError)[]> {
  const { host, address } = named;
  if (address !== undefined || isSocketDirectory(host) || isIP(host) !== 0) return [named];
  try {
    const found = await abortable(lookup(host, { all: true }), signal);
    return found.map((each) => ({ ...named, address: each.address }));
  } catch (error) {
    signal.throwIfAborted();
    return [translateError(error, `Looking up ${host}`)];
  }
}

/** A lookup itself cannot be called off. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function allFailed(failures: readonly TailraceError[]): TailraceError {
  const [first] = failures;
  if (first !== undefined && failures.length === 1) return first;
  return new TailraceError({
    code: 'E_CONNECT',
    message: `No host of ${failures.length} tried will do. ${failures.map(({ message }) => message).join(' ')}`,
    fix: first?.fix,
    retriable: true,
    cause: first?.cause,
  });
}

function passwordFor(settings: ConnectionSettings, host: HostAddress): string {
  if (settings.password !== undefined) return settings.password();
  const { password, ignored } = lookUpPassword(settings, host);
  if (password !== undefined) return password;
  throw new TailraceError({
    code: 'E_AUTH',
    message:
      `${describeHost(host)} asks for the password of ${JSON.stringify(settings.user)}, and none is given` +
      `${ignored === undefined ? '' : `; ${ignored}`}.`,
    fix: 'source: { password: ... }, PGPASSWORD, or a line of the password file (~/.pgpass)',
  });
}
