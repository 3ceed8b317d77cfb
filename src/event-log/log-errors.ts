import { TailraceError } from '../errors/tailrace-error.ts';
import { errnoOf } from './file-system.ts';

/** Damage that no crash of ours can have left: never cut away or stepped over. */
export function corrupt(path: string, fileOffset: number, what: string): TailraceError {
  return new TailraceError({
    code: 'E_LOG_CORRUPT',
    message: `The event log is damaged: ${path} at byte ${fileOffset}: ${what}.`,
    fix:
      'Check the disk and restore the file from a copy if there is one. Otherwise move the whole log directory away and start again: ' +
      'delivery goes on by itself when every sink is at or past the replication slot, and names the sinks that are not.',
  });
}

/** The disk is full for now; everything else the disk refuses is final for this process. */
export function isDiskFull(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === 'ENOSPC' || errno === 'EDQUOT';
}

export function ioError(action: string, path: string, cause: unknown): TailraceError {
  const full = isDiskFull(cause);
  return new TailraceError({
    code: 'E_LOG_IO',
    message: `The event log cannot ${action} ${path} (${errnoOf(cause) ?? 'unknown error'}).`,
    fix: full
      ? 'Free space on the disk of event_log.dir, or lower event_log.limit below what the disk holds. Writing goes on by itself.'
      : 'Check the disk and the permissions of event_log.dir, then start again. Nothing is lost: the server sends what was not on disk once more.',
    cause,
    retriable: full,
  });
}

/** A call that the order of calls does not allow: a defect of the caller. */
export function misuse(message: string): TailraceError {
  return new TailraceError({ code: 'E_INTERNAL', message: `Event log: ${message}.` });
}
