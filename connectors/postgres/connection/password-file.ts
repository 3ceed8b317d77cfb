import { readFileSync, statSync } from 'node:fs';
import type { ConnectionSettings, HostAddress } from './connection-settings.ts';
import { isSocketDirectory } from './connection-settings.ts';

type PasswordRequest = Pick<ConnectionSettings, 'database' | 'user' | 'passwordFile'>;

/**
 * The password of the first line `host:port:database:user:password` that fits, or undefined. As in libpq a missing file is none, and one that
 * others may read is not used: `ignored` says so.
 * https://www.postgresql.org/docs/current/libpq-pgpass.html
 */
export function lookUpPassword(
  request: PasswordRequest,
  host: HostAddress,
): { readonly password?: string | undefined; readonly ignored?: string | undefined } {
  const file = request.passwordFile;
  const mode = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false });
  if (file === undefined || mode === undefined || !mode.isFile()) return {};
  if (process.platform !== 'win32' && (mode.mode & 0o077) !== 0) {
    return { ignored: `the password file ${file} may be read by others; its mode has to be 0600` };
  }
  return { password: findPassword(readFileSync(file, 'utf8'), request, host) };
}

/** Pure part of {@link lookUpPassword}. */
export function findPassword(
  text: string,
  { database, user }: Pick<PasswordRequest, 'database' | 'user'>,
  { host, port }: HostAddress,
): string | undefined {
  // A Unix socket is looked up as localhost, whatever its directory, if that is the usual one; we cannot know and try both.
  const hosts = isSocketDirectory(host) ? [host, 'localhost'] : [host];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = splitLine(line);
    const [lineHost, linePort, lineDatabase, lineUser, password] = fields;
    if (password === undefined) continue;
    const fits =
      hosts.some((each) => matches(lineHost, each)) &&
      matches(linePort, String(port)) &&
      matches(lineDatabase, database) &&
      matches(lineUser, user);
    if (fits) return password;
  }
  return undefined;
}

function matches(pattern: string | undefined, value: string): boolean {
  return pattern === '*' || pattern === value;
}

/** Four fields end at an unescaped colon, the fifth at the line's end; `\:` and `\\` stand for themselves. */
function splitLine(line: string): string[] {
  const fields: string[] = [];
  let field = '';
  for (let i = 0; i < line.length; i++) {
    const character = line[i] ?? '';
    if (character === '\\' && i + 1 < line.length) {
      i += 1;
      field += line[i] ?? '';
    } else if (character === ':') {
      fields.push(field);
      field = '';
      if (fields.length === 5) return fields;
    } else {
      field += character;
    }
  }
  fields.push(field);
  return fields;
}
