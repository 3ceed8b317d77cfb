import { redactUrl } from '../../../src/config/redact-url.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';

/**
 * libpq's connection parameters that mean something here, with the environment variable of each.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
 */
const KEYWORDS = {
  host: 'PGHOST',
  hostaddr: 'PGHOSTADDR',
  port: 'PGPORT',
  dbname: 'PGDATABASE',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  passfile: 'PGPASSFILE',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  application_name: 'PGAPPNAME',
  fallback_application_name: undefined,
  options: 'PGOPTIONS',
  target_session_attrs: 'PGTARGETSESSIONATTRS',
  keepalives: undefined,
  keepalives_idle: undefined,
  channel_binding: 'PGCHANNELBINDING',
  sslmode: 'PGSSLMODE',
  sslnegotiation: 'PGSSLNEGOTIATION',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslpassword: undefined,
  sslcrl: 'PGSSLCRL',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION',
  ssl_max_protocol_version: 'PGSSLMAXPROTOCOLVERSION',
} as const;

/** Known to libpq and harmless at these values; anything else they could say is refused. */
const ACCEPTED_VALUES: Readonly<Record<string, readonly string[]>> = {
  client_encoding: ['utf8', 'utf-8', 'unicode', 'auto'],
  gssencmode: ['disable', 'prefer'],
  load_balance_hosts: ['disable'],
  sslcompression: ['0'],
  sslsni: ['1'],
};

/** A connection that ignored one of these would be less strict than asked for. */
const UNSUPPORTED_ENVIRONMENT = ['PGREQUIREAUTH', 'PGREQUIREPEER', 'PGREQUIRESSL', 'PGSSLCRLDIR'];

export type ConninfoKeyword = keyof typeof KEYWORDS;
export type Conninfo = Readonly<Partial<Record<ConninfoKeyword, string>>>;

/** The PG* variables; empty ones count as unset. */
export function conninfoFromEnvironment(env: NodeJS.ProcessEnv): Conninfo {
  for (const name of UNSUPPORTED_ENVIRONMENT) {
    if (env[name])
      throw invalid(`The environment variable ${name} is set, which is not supported.`, `unset ${name}`);
  }
  const found: [string, string][] = [];
  for (const [keyword, variable] of Object.entries(KEYWORDS)) {
    const value = variable === undefined ? undefined : env[variable];
    if (value) found.push([keyword, value]);
  }
  return Object.fromEntries(found);
}

/** The environment variable that stands in for a parameter. */
export function environmentName(keyword: ConninfoKeyword): string | undefined {
  return KEYWORDS[keyword];
}

/**
 * Reads `postgresql://[user[:password]@][host][:port][,...][/dbname][?name=value[&...]]` by libpq's rules.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
 * Throws E_CONFIG without quoting anything secret.
 */
export function parseConnectionUrl(url: string): Conninfo {
  return new UrlReader(url).read();
}

class UrlReader {
  readonly #url: string;
  #rest: string;
  readonly #found: Partial<Record<ConninfoKeyword, string>> = {};

  constructor(url: string) {
    this.#url = url;
    this.#rest = url;
  }

  read(): Conninfo {
    const scheme = /^postgres(?:ql)?:\/\//.exec(this.#rest)?.[0];
    if (scheme === undefined) throw this.#error('it does not begin with postgresql://');
    this.#rest = this.#rest.slice(scheme.length);
    this.#readUserInfo();
    this.#readHosts();
    if (this.#rest.startsWith('/')) {
      this.#store('dbname', this.#take(/^\/([^?]*)/));
    }
    if (this.#rest.startsWith('?')) this.#readParameters(this.#rest.slice(1));
    return this.#found;
  }

  /** The user part ends at the first `@` that no `/` precedes: other characters of a password have to be percent-encoded. */
  #readUserInfo(): void {
    if (!/^[^@/]*@/.test(this.#rest)) return;
    const userInfo = this.#take(/^([^@]*)@/);
    const colon = userInfo.indexOf(':');
    this.#store('user', colon < 0 ? userInfo : userInfo.slice(0, colon));
    if (colon >= 0) this.#store('password', userInfo.slice(colon + 1));
  }

  #readHosts(): void {
    const hosts: string[] = [];
    const ports: string[] = [];
    let more = true;
    while (more) {
      if (this.#rest.startsWith('[')) {
        if (!/^\[[^\]]+\](?=[:/?,]|$)/.test(this.#rest)) {
          throw this.#error('an IPv6 address in brackets is not closed, empty or followed by something else');
        }
        hosts.push(this.#take(/^\[([^\]]+)\]/));
      } else {
        hosts.push(this.#take(/^([^:/?,]*)/));
      }
      ports.push(this.#rest.startsWith(':') ? this.#take(/^:([^/?,]*)/) : '');
      more = this.#rest.startsWith(',');
      if (more) this.#rest = this.#rest.slice(1);
    }
    this.#store('host', hosts.join(','));
    this.#store('port', ports.join(','));
  }

  #readParameters(text: string): void {
    for (const pair of text.split('&')) {
      const equals = pair.indexOf('=');
      if (equals < 0) throw this.#error('a parameter after ? has no value');
      if (pair.indexOf('=', equals + 1) >= 0) throw this.#error('a parameter after ? has a second =');
      const name = this.#decode(pair.slice(0, equals));
      this.#parameter(name, pair.slice(equals + 1));
    }
  }

  #parameter(name: string, encoded: string): void {
    if (Object.hasOwn(KEYWORDS, name)) {
      this.#found[name as ConninfoKeyword] = this.#decode(encoded);
      return;
    }
    const accepted = ACCEPTED_VALUES[name];
    if (accepted?.includes(this.#decode(encoded).toLowerCase()) === true) return;
    if (name === 'ssl') {
      throw this.#error(
        'ssl= means require to some clients and verify-full to others; write sslmode=verify-full, verify-ca, require or disable',
      );
    }
    throw this.#error(
      accepted === undefined
        ? `the parameter ${JSON.stringify(name)} is not supported`
        : `the parameter ${name} can only be ${accepted.join(' or ')}`,
    );
  }

  #take(shape: RegExp): string {
    const match = shape.exec(this.#rest);
    this.#rest = this.#rest.slice(match?.[0].length ?? 0);
    return match?.[1] ?? '';
  }

  /** Empty parts are as if not written. A list of nothing but commas is one, too. */
  #store(keyword: ConninfoKeyword, encoded: string): void {
    if (/^,*$/.test(encoded)) return;
    this.#found[keyword] = this.#decode(encoded);
  }

  #decode(text: string): string {
    try {
      const decoded = decodeURIComponent(text);
      if (!decoded.includes('\0')) return decoded;
    } catch {
      // Said below, without the text: it may be the password.
    }
    throw this.#error('a percent sign is not followed by two hexadecimal digits of a UTF-8 character');
  }

  #error(what: string): TailraceError {
    return invalid(
      `The connection URL ${redactUrl(this.#url)} cannot be read: ${what}.`,
      'source: { url: "postgresql://user:password@host:5432/database" }, special characters percent-encoded',
    );
  }
}

function invalid(message: string, fix: string): TailraceError {
  return new TailraceError({ code: 'E_CONFIG', message, fix });
}
