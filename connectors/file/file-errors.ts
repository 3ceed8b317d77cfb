import { TailraceError } from '../../src/errors/tailrace-error.ts';

const OUT_OF_SPACE: readonly string[] = ['ENOSPC', 'EDQUOT', 'EFBIG'];
/** May pass without anybody's help, or with somebody's who makes room. */
const PASSING: readonly string[] = [...OUT_OF_SPACE, 'EIO', 'EMFILE', 'ENFILE', 'EAGAIN', 'EBUSY', 'ENOMEM'];

export function errnoOf(thrown: unknown): string | undefined {
  return thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined;
}

/** What the operating system refused, as the lane understands it. `action`: "write", "sync". */
export function fileError(thrown: unknown, action: string, path: string): unknown {
  const errno = errnoOf(thrown);
  if (thrown instanceof TailraceError || errno === undefined) return thrown;
  const retriable = PASSING.includes(errno);
  return new TailraceError({
    code: retriable ? 'E_SINK_UNAVAILABLE' : 'E_SINK_CONFIG',
    message: `Cannot ${action} ${path} (${errno}).`,
    fix: OUT_OF_SPACE.includes(errno)
      ? 'Make room on that disk; the sink goes on by itself.'
      : retriable
        ? undefined
        : 'Give the process a directory it may write to.',
    cause: thrown,
    retriable,
  });
}

/** Somebody else has changed what only the sink changes. */
export function tampered(path: string, finding: string): TailraceError {
  return new TailraceError({
    code: 'E_SINK_FOREIGN',
    message: `${path} ${finding}.`,
    fix:
      'Put the file back as it was: only files that are put aside, those with a number, may be taken away. ' +
      'Or move the whole directory away; the sink then begins anew.',
  });
}
