import { isIP } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import {
  NO_FALLBACK,
  type PostgresSourceConfig,
  SSL_MODES,
  type SslMode,
  TARGET_SESSION_ATTRS,
  type TargetSessionAttrs,
} from '../config.ts';
import {
  type Conninfo,
  type ConninfoKeyword,
  conninfoFromEnvironment,
  environmentName,
  parseConnectionUrl,
} from './conninfo.ts';

const DEFAULT_PORT = 5432;
const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_KEEPALIVE_IDLE_MS = 30_000;
const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
export type TlsVersion = (typeof TLS_VERSIONS)[number];

/** One place where the database may be. */
export interface HostAddress {
  /** Name, address or directory of a Unix socket: what the certificate has to be for, and what messages say. */
  readonly host: string;
  readonly port: number;
  /** Where to connect when that is known already: from `hostaddr`, or looked up for this attempt. */
  readonly address?: string | undefined;
}

/** A secret is a function so that printing settings does not print it. */
export type Secret = () => string;

export interface TlsSettings {
  /** Undefined: verify-full, but disable for a local host unless certificates are given. See {@link sslModeFor}. */
  readonly mode?: SslMode | undefined;
  readonly negotiation: 'postgres' | 'direct';
  /** `system`, a file or PEM text. */
  readonly ca?: string | undefined;
  /** A file or PEM text. */
  readonly crl?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: Secret | undefined;
  readonly keyPassword?: Secret | undefined;
  readonly minVersion?: TlsVersion | undefined;
  readonly maxVersion?: TlsVersion | undefined;
  readonly channelBinding: boolean;
}

/** Everything a connection needs to know; made once from configuration and environment, used for every attempt. */
export interface ConnectionSettings {
  /** Tried in this order. Never empty. */
  readonly hosts: readonly HostAddress[];
  readonly database: string;
  readonly user: string;
  readonly password?: Secret | undefined;
  /** Where passwords are looked up when none is given. */
  readonly passwordFile?: string | undefined;
  /** libpq's own place for certificates and the password file, ~/.postgresql; undefined without a home directory. */
  readonly certificateDir?: string | undefined;
  readonly tls: TlsSettings;
  readonly targetSessionAttrs: TargetSessionAttrs;
  readonly applicationName: string;
  /** Command-line options of the server process, from PGOPTIONS or the URL; what Tailrace pins goes after and wins. */
  readonly serverOptions?: string | undefined;
  /** For each address; 0 = wait for ever. */
  readonly connectTimeoutMs: number;
  /** undefined = TCP keepalive off. */
  readonly keepAliveIdleMs?: number | undefined;
}

/**
 * From the configuration, then the URL's parameters, then PG* variables, then libpq's defaults. Pure but for the name of the account.
 * Throws E_CONFIG for what contradicts itself or cannot be honoured.
 */
export function resolveConnection(
  config: Partial<PostgresSourceConfig>,
  env: NodeJS.ProcessEnv,
  account: () => string | undefined = accountName,
): ConnectionSettings {
  const source = new Conninfos(config, env);
  const hosts = hostList(source);
  const user = source.get('user') ?? account();
  if (user === undefined) {
    throw invalid(
      'No database user is configured and the account has no name.',
      'source: { user: <role> } or PGUSER',
    );
  }
  const password = source.get('password');
  return {
    hosts,
    user,
    database: source.get('dbname') ?? user,
    password: password === undefined ? undefined : () => password,
    passwordFile: source.get('passfile') ?? inHome(env, '.pgpass'),
    certificateDir: inHome(env, '.postgresql'),
    tls: tlsSettings(source),
    targetSessionAttrs:
      source.choice('target_session_attrs', TARGET_SESSION_ATTRS) ?? (hosts.length > 1 ? 'primary' : 'any'),
    applicationName: source.get('application_name') ?? source.get('fallback_application_name') ?? 'tailrace',
    serverOptions: source.get('options'),
    connectTimeoutMs: config.connectTimeoutMs ?? connectTimeoutMs(source),
    keepAliveIdleMs: keepAliveIdleMs(source),
  };
}

/** What holds for one host: encryption is the default everywhere but on this machine. */
export function sslModeFor(
  settings: Pick<ConnectionSettings, 'tls'>,
  { host, address }: HostAddress,
): SslMode {
  // Unix sockets cannot carry TLS. https://www.postgresql.org/docs/current/libpq-ssl.html
  if (isSocketDirectory(host)) return 'disable';
  if (settings.tls.mode !== undefined) return settings.tls.mode;
  const certificates = settings.tls.ca !== undefined || settings.tls.cert !== undefined;
  return isLocal(address ?? host) && isLocal(host) && !certificates ? 'disable' : 'verify-full';
}

export function isSocketDirectory(host: string): boolean {
  return host.startsWith('/');
}

/** `db.example.com:5432`, for messages. */
export function describeHost({ host, port }: HostAddress): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

function isLocal(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** The four places a parameter can come from, and what to call them in errors. */
class Conninfos {
  readonly #layers: readonly {
    readonly name: (keyword: ConninfoKeyword) => string;
    readonly values: Conninfo;
  }[];

  constructor(config: Partial<PostgresSourceConfig>, env: NodeJS.ProcessEnv) {
    const url = config.url === undefined ? {} : parseConnectionUrl(config.url);
    const options = fromOptions(config);
    for (const keyword of Object.keys(options) as ConninfoKeyword[]) {
      if (url[keyword] === undefined) continue;
      throw invalid(
        `source.url says ${keyword} and so does source.${OPTION_NAMES[keyword] ?? keyword}.`,
        'say it in one of the two places',
      );
    }
    if (env.PGSERVICE && options.host === undefined && url.host === undefined) {
      throw invalid(
        'The environment variable PGSERVICE is set, but service files are not read.',
        'source: { url: "postgresql://user@host/database" }',
      );
    }
    this.#layers = [
      { name: (keyword) => `source.${OPTION_NAMES[keyword] ?? keyword}`, values: options },
      { name: (keyword) => `${keyword} of source.url`, values: url },
      { name: (keyword) => environmentName(keyword) ?? keyword, values: conninfoFromEnvironment(env) },
    ];
  }

  get(keyword: ConninfoKeyword): string | undefined {
    return this.#layers.find((layer) => layer.values[keyword] !== undefined)?.values[keyword];
  }

  /** Where a value was found: `PGPORT`, `sslmode of source.url`. */
  where(keyword: ConninfoKeyword): string {
    const layer = this.#layers.find(({ values }) => values[keyword] !== undefined);
    return layer?.name(keyword) ?? keyword;
  }

  choice<T extends string>(keyword: ConninfoKeyword, choices: readonly T[]): T | undefined {
    const value = this.get(keyword);
    if (value === undefined) return undefined;
    const choice = choices.find((each) => each === value);
    if (choice === undefined) {
      throw this.invalid(keyword, `${JSON.stringify(value)} is none of ${choices.join(', ')}`);
    }
    return choice;
  }

  integer(keyword: ConninfoKeyword): number | undefined {
    const value = this.get(keyword);
    if (value === undefined) return undefined;
    if (!/^\s*[+-]?\d{1,9}\s*$/.test(value)) {
      throw this.invalid(keyword, `${JSON.stringify(value)} is not a whole number`);
    }
    return Number(value);
  }

  invalid(keyword: ConninfoKeyword, why: string): TailraceError {
    return invalid(`${this.where(keyword)}: ${why}.`);
  }
}

const OPTION_NAMES: Partial<Record<ConninfoKeyword, string>> = {
  dbname: 'database',
  sslmode: 'ssl.mode',
  sslrootcert: 'ssl.ca',
  sslcert: 'ssl.cert',
  sslkey: 'ssl.key',
};

function fromOptions(config: Partial<PostgresSourceConfig>): Conninfo {
  const all: Record<string, string | undefined> = {
    host: config.host,
    port: config.port === undefined ? undefined : String(config.port),
    dbname: config.database,
    user: config.user,
    password: config.password,
    sslmode: config.ssl?.mode,
    sslrootcert: config.ssl?.ca,
    sslcert: config.ssl?.cert,
    sslkey: config.ssl?.key,
    target_session_attrs: config.targetSessionAttrs,
    application_name: config.applicationName,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/**
 * Lists of equal length; one port, or none, serves all hosts.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
 */
function hostList(source: Conninfos): HostAddress[] {
  const names = source.get('host')?.split(',');
  const addresses = source.get('hostaddr')?.split(',');
  const count = addresses?.length ?? names?.length ?? 1;
  if (names !== undefined && names.length !== count) {
    throw source.invalid('hostaddr', `${count} addresses do not go with ${names.length} hosts`);
  }
  const ports = source.get('port')?.split(',') ?? [''];
  if (ports.length !== 1 && ports.length !== count) {
    throw source.invalid('port', `${ports.length} ports do not go with ${count} hosts`);
  }
  return Array.from({ length: count }, (_, i) => {
    const address = addresses?.[i] || undefined;
    if (address !== undefined && isIP(address) === 0) {
      throw source.invalid('hostaddr', `${JSON.stringify(address)} is not an IP address`);
    }
    const host = names?.[i] || address || 'localhost';
    if (host.startsWith('@')) throw source.invalid('host', 'abstract Unix sockets are not supported');
    return { host, port: portNumber(source, ports[ports.length === 1 ? 0 : i]), address };
  });
}

function portNumber(source: Conninfos, text = ''): number {
  if (text.trim() === '') return DEFAULT_PORT;
  const port = Number(text);
  if (/^\s*\d+\s*$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw source.invalid('port', `${JSON.stringify(text)} is not a port between 1 and 65535`);
}

function tlsSettings(source: Conninfos): TlsSettings {
  const mode = source.get('sslmode');
  if (mode === 'prefer' || mode === 'allow') {
    throw source.invalid('sslmode', `${mode} is refused: ${NO_FALLBACK}`);
  }
  const key = source.get('sslkey');
  const keyPassword = source.get('sslpassword');
  const tls: TlsSettings = {
    mode: source.choice('sslmode', SSL_MODES),
    negotiation: source.choice('sslnegotiation', ['postgres', 'direct']) ?? 'postgres',
    ca: source.get('sslrootcert'),
    crl: source.get('sslcrl'),
    cert: source.get('sslcert'),
    key: key === undefined ? undefined : () => key,
    keyPassword: keyPassword === undefined ? undefined : () => keyPassword,
    minVersion: source.choice('ssl_min_protocol_version', TLS_VERSIONS),
    maxVersion: source.choice('ssl_max_protocol_version', TLS_VERSIONS),
    channelBinding: channelBinding(source),
  };
  if (tls.mode === 'require' && tls.ca !== undefined) {
    throw source.invalid(
      'sslmode',
      `require does not say whether the server's certificate must be trusted, but ${source.where('sslrootcert')} is given; ` +
        'write verify-full or verify-ca',
    );
  }
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    throw source.invalid(
      tls.cert === undefined ? 'sslkey' : 'sslcert',
      'a client certificate and its key go together, and the other one is not given',
    );
  }
  return tls;
}

function channelBinding(source: Conninfos): boolean {
  const wish = source.choice('channel_binding', ['disable', 'prefer', 'require']);
  if (wish === 'require') {
    throw source.invalid(
      'channel_binding',
      'require cannot be enforced; sslmode=verify-full proves who the server is, and prefer (the default) binds where the server can',
    );
  }
  return wish !== 'disable';
}

function connectTimeoutMs(source: Conninfos): number {
  const seconds = source.integer('connect_timeout');
  return seconds === undefined ? DEFAULT_CONNECT_TIMEOUT_MS : Math.max(seconds, 0) * 1000;
}

function keepAliveIdleMs(source: Conninfos): number | undefined {
  if (source.integer('keepalives') === 0) return undefined;
  const seconds = source.integer('keepalives_idle') ?? 0;
  return seconds > 0 ? seconds * 1000 : DEFAULT_KEEPALIVE_IDLE_MS;
}

function inHome(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const home = env.HOME || env.USERPROFILE;
  return home ? join(home, name) : undefined;
}

function accountName(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    // A container's uid need not have a name.
    return undefined;
  }
}

function invalid(message: string, fix?: string): TailraceError {
  return new TailraceError({ code: 'E_CONFIG', message, fix });
}
