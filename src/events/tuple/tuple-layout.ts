import { TailraceError } from '../../errors/tailrace-error.ts';

/**
 * pgoutput's TupleData: int16 column count, then per column a kind byte; `t` and `b` are followed by int32 length and that many bytes.
 * https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html#PROTOCOL-LOGICALREP-MESSAGE-FORMATS-TUPLEDATA
 */
export const KIND = {
  null: 0x6e, // n
  unchanged: 0x75, // u
  text: 0x74, // t
  binary: 0x62, // b
  /** `x`, ours: the configuration drops the column before the log. */
  notCaptured: 0x78,
} as const;

/** What `TupleLayout.ends` holds instead of an offset for a column without bytes. */
export const END_NULL = -1;
export const END_UNCHANGED = -2;
export const END_NOT_CAPTURED = -3;
export const END_BINARY = -4;

/** Columns that fit before the offset arrays grow; most tables never need more. */
const INITIAL_COLUMNS = 64;

/** Where the columns of one tuple lie. Reused from tuple to tuple, so finding them allocates nothing. */
export class TupleLayout {
  count = 0;
  starts = new Int32Array(INITIAL_COLUMNS);
  /** End offset, or one of the negative END_ codes. */
  ends = new Int32Array(INITIAL_COLUMNS);

  /** Finds the columns of the tuple at `at` and returns the offset behind it. Throws E_PROTOCOL when it runs past `limit`. */
  scan(buffer: Buffer, at: number, limit: number): number {
    if (at + 2 > limit) throw cutShort(at, limit);
    const count = ((buffer[at] as number) << 8) | (buffer[at + 1] as number);
    if (count > this.starts.length) {
      this.starts = new Int32Array(count * 2);
      this.ends = new Int32Array(count * 2);
    }
    const starts = this.starts;
    const ends = this.ends;
    let next = at + 2;
    for (let i = 0; i < count; i++) {
      if (next >= limit) throw cutShort(next, limit);
      const kind = buffer[next++] as number;
      if (kind === KIND.text || kind === KIND.binary) {
        if (next + 4 > limit) throw cutShort(next, limit);
        const length =
          ((buffer[next] as number) << 24) |
          ((buffer[next + 1] as number) << 16) |
          ((buffer[next + 2] as number) << 8) |
          (buffer[next + 3] as number);
        next += 4;
        starts[i] = next;
        next += length;
        if (length < 0 || next > limit) throw cutShort(next, limit);
        ends[i] = kind === KIND.text ? next : END_BINARY;
      } else if (kind === KIND.null) {
        ends[i] = END_NULL;
      } else if (kind === KIND.unchanged) {
        ends[i] = END_UNCHANGED;
      } else if (kind === KIND.notCaptured) {
        ends[i] = END_NOT_CAPTURED;
      } else {
        throw malformed(`unknown column kind 0x${kind.toString(16)} in column ${i + 1} of ${count}`);
      }
    }
    this.count = count;
    return next;
  }
}

/** E_PROTOCOL: bytes that are not what pgoutput documents. */
export function malformed(what: string): TailraceError {
  return new TailraceError({ code: 'E_PROTOCOL', message: `A row image is malformed: ${what}.` });
}

function cutShort(at: number, limit: number): TailraceError {
  return malformed(`it goes on at byte ${at} although its event ends at ${limit}`);
}
