import { readFileSync } from 'node:fs';

const REFERENCE = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g;
const FILE = 'file:';
/** Ports and switches: in a log they are part of numbers and of everything else. */
const ORDINARY = /^(?:\d{1,5}|true|false)$/;

export interface ReferenceSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default: relative paths are relative to the working directory. */
  readonly readFile?: ((path: string) => string) | undefined;
}

/**
 * Puts values from outside in place of references, in any text of the file:
 * - `${NAME}`: an environment variable, which must be set; `${NAME:-text}`: text when it is unset or empty; `$${` stands for `${`.
 * - `file:/run/secrets/password` (the whole text): what that file holds, without the line break at its end.
 *
 * `secrets` collects what was put in, so that logs can leave it out.
 */
export function resolveReferences(
  text: string,
  sources: ReferenceSources,
  secrets: Set<string>,
  fail: (message: string) => void,
): string {
  if (text.startsWith(FILE) && !text.startsWith('file://')) {
    const path = text.slice(FILE.length);
    try {
      const value = (sources.readFile ?? readText)(path).replace(/\r?\n$/, '');
      secrets.add(value);
      return value;
    } catch (error) {
      fail(`the file ${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
      return '';
    }
  }
  return text.replace(REFERENCE, (whole, name: string | undefined, fallback: string | undefined) => {
    if (name === undefined) return '${';
    const value = sources.env[name];
    if (value !== undefined && (value !== '' || fallback === undefined)) {
      if (!ORDINARY.test(value)) secrets.add(value);
      return value;
    }
    if (fallback !== undefined) return fallback;
    fail(`the environment variable ${name} is not set`);
    return whole;
  });
}

export function readText(path: string): string {
  return readFileSync(path, 'utf8');
}
