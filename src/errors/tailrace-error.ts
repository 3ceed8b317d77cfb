import { ERROR_CODES, type ErrorCode } from './codes.ts';

export interface TailraceErrorOptions {
  readonly code: ErrorCode;
  /** What happened and where, one sentence; no secrets, no row values, and not the cause's own message. */
  readonly message: string;
  /** What mends it: the exact SQL, YAML or command. */
  readonly fix?: string | undefined;
  readonly cause?: unknown;
  /** True when the same attempt may succeed later without anybody's help. */
  readonly retriable?: boolean | undefined;
}

/** The only kind of error that crosses a module border on purpose. */
export class TailraceError extends Error {
  override readonly name = 'TailraceError';
  readonly code: ErrorCode;
  readonly fix: string | undefined;
  readonly retriable: boolean;

  constructor(options: TailraceErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.fix = options.fix;
    this.retriable = options.retriable ?? false;
  }

  /** The status a process ends with because of this error. */
  get exitCode(): number {
    return ERROR_CODES[this.code].exit;
  }

  /** `[E_GAP] what happened`, the causes' messages, and a `fix:` block. */
  describe(): string {
    const lines = [`[${this.code}] ${this.message}`];
    let cause = this.cause;
    for (let depth = 0; cause instanceof Error && depth < 4; depth++) {
      lines.push(`  cause: ${cause.message}`);
      cause = cause.cause;
    }
    if (this.fix !== undefined) lines.push(`  fix: ${this.fix.split('\n').join('\n       ')}`);
    return lines.join('\n');
  }
}

/** Anything thrown, as a TailraceError: what is not one already is a defect of ours. */
export function asTailraceError(thrown: unknown): TailraceError {
  if (thrown instanceof TailraceError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new TailraceError({ code: 'E_INTERNAL', message, cause: thrown });
}
