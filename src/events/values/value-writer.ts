import type { ErrorCode } from '../../errors/codes.ts';
import type { ByteWriter } from '../byte-writer.ts';

/**
 * Writes one value as JSON. `bytes[start, end)` is the text PostgreSQL prints for it under the session settings the source pins:
 * DateStyle ISO, IntervalStyle postgres, TimeZone UTC, extra_float_digits >= 1, bytea_output hex, UTF-8.
 *
 * Throws UnwritableValue; what it had written by then is for the caller to take back.
 */
export type WriteValue = (bytes: Buffer, start: number, end: number, out: ByteWriter) => void;

/** A value that has no faithful form in the output. The encoder completes it with table, column and position. */
export class UnwritableValue extends Error {
  override readonly name = 'UnwritableValue';
  readonly code: ErrorCode;
  readonly fix: string | undefined;

  /** `message` continues "column x of table y ..." and names no value. */
  constructor(message: string, options: { code?: ErrorCode; fix?: string | undefined } = {}) {
    super(message);
    this.code = options.code ?? 'E_UNSUPPORTED_ROW';
    this.fix = options.fix;
  }
}

/** Text that is not what PostgreSQL prints for `type` under the pinned settings. */
export function unreadable(type: string): UnwritableValue {
  return new UnwritableValue(`holds text that is not the server's output form of ${type}`, {
    code: 'E_ENCODING',
  });
}
