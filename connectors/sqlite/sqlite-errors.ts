import { TailraceError } from '../../src/errors/tailrace-error.ts';

/** Primary result codes. https://www.sqlite.org/rescode.html */
export const RESULT = {
  permission: 3,
  busy: 5,
  locked: 6,
  noMemory: 7,
  readOnly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  tooBig: 18,
  constraint: 19,
  mismatch: 20,
  notADatabase: 26,
} as const;

const NAMES = new Map<number, string>([
  [1, 'SQLITE_ERROR'],
  [RESULT.permission, 'SQLITE_PERM'],
  [RESULT.busy, 'SQLITE_BUSY'],
  [RESULT.locked, 'SQLITE_LOCKED'],
  [RESULT.noMemory, 'SQLITE_NOMEM'],
  [RESULT.readOnly, 'SQLITE_READONLY'],
  [RESULT.ioError, 'SQLITE_IOERR'],
  [RESULT.corrupt, 'SQLITE_CORRUPT'],
  [RESULT.full, 'SQLITE_FULL'],
  [RESULT.cannotOpen, 'SQLITE_CANTOPEN'],
  [RESULT.tooBig, 'SQLITE_TOOBIG'],
  [RESULT.constraint, 'SQLITE_CONSTRAINT'],
  [RESULT.mismatch, 'SQLITE_MISMATCH'],
  [RESULT.notADatabase, 'SQLITE_NOTADB'],
]);

interface SqliteError extends Error {
  readonly errcode: number;
}

function isSqliteError(thrown: unknown): thrown is SqliteError {
  return thrown instanceof Error && typeof (thrown as Partial<SqliteError>).errcode === 'number';
}

/** The primary result code, or undefined for anything that SQLite did not throw. */
export function resultCode(thrown: unknown): number | undefined {
  return isSqliteError(thrown) ? thrown.errcode & 0xff : undefined;
}

export function resultName(code: number): string {
  return NAMES.get(code) ?? `SQLITE result ${code}`;
}

/** True when only this row is refused, by its size or by a constraint or trigger somebody added. */
export function refusesRow(code: number | undefined): boolean {
  return code === RESULT.tooBig || code === RESULT.constraint || code === RESULT.mismatch;
}

/** What SQLite threw while working on the file at `path`, as the lane understands it. */
export function translateError(thrown: unknown, path: string): unknown {
  if (thrown instanceof TailraceError || !isSqliteError(thrown)) return thrown;
  const code = thrown.errcode & 0xff;
  const name = resultName(code);
  switch (code) {
    case RESULT.busy:
    case RESULT.locked:
      return unavailable(`${path} is locked by another connection (${name})`, thrown);
    case RESULT.full:
      return unavailable(
        `The disk of ${path} is full (${name})`,
        thrown,
        'Make room; the sink goes on by itself.',
      );
    case RESULT.ioError:
    case RESULT.noMemory:
      return unavailable(`${path} cannot be read or written (${name} ${thrown.errcode})`, thrown);
    case RESULT.readOnly:
    case RESULT.permission:
    case RESULT.cannotOpen:
      return refused(
        `${path} cannot be opened for writing (${name})`,
        thrown,
        'Give the process write access to the file and its directory.',
      );
    case RESULT.corrupt:
    case RESULT.notADatabase:
      return refused(
        `${path} is not a sound SQLite database (${name})`,
        thrown,
        'Move the file away: the sink then begins anew with the oldest change in the event log.',
      );
    default:
      return refused(`SQLite refuses a statement on ${path} (${name})`, thrown);
  }
}

function unavailable(what: string, cause: Error, fix?: string): TailraceError {
  return new TailraceError({
    code: 'E_SINK_UNAVAILABLE',
    message: `${what}.`,
    cause,
    fix,
    retriable: true,
  });
}

function refused(what: string, cause: Error, fix?: string): TailraceError {
  return new TailraceError({ code: 'E_SINK_CONFIG', message: `${what}.`, cause, fix });
}
