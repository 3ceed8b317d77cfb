import type { ByteWriter } from '../../src/events/byte-writer.ts';

/**
 * A batch on its way to the worker: one buffer, handed over and not copied. Per item
 *   u8 operation, u32 mirror, then tuples: for each column i32 length and that many bytes of PostgreSQL's text, or a negative length.
 * Numbers are little-endian.
 */
export const OPERATION = {
  /** The row, by its key, whatever was there. Tuple: the row. */
  upsert: 1,
  /** A row that is new; one with its key already there is an error. Tuple: the row. */
  insert: 2,
  /** As upsert, but columns may be absent: they stay as they are. Tuple: the row. */
  update: 3,
  /** Tuples: old key, row (columns may be absent). */
  move: 4,
  /** Tuple: key. */
  delete: 5,
  /** No tuple. */
  truncate: 6,
  /** One row without key. Tuple: the old row. */
  remove: 7,
  /** One row without key. Tuples: old row, row. */
  replace: 8,
} as const;

export type Operation = (typeof OPERATION)[keyof typeof OPERATION];

export const LENGTH_NULL = -1;
/** An unchanged TOAST value, or one the capture dropped: not in the event. */
export const LENGTH_ABSENT = -2;

export function packItem(out: ByteWriter, operation: Operation, mirror: number): void {
  const buffer = out.reserve(5);
  buffer[out.length] = operation;
  buffer.writeUInt32LE(mirror, out.length + 1);
  out.length += 5;
}

export function packLength(out: ByteWriter, length: number): void {
  const buffer = out.reserve(4);
  const at = out.length;
  buffer[at] = length & 0xff;
  buffer[at + 1] = (length >> 8) & 0xff;
  buffer[at + 2] = (length >> 16) & 0xff;
  buffer[at + 3] = (length >> 24) & 0xff;
  out.length = at + 4;
}

/** Reads what the functions above write, front to back. */
export class PackedReader {
  readonly bytes: Buffer;
  at = 0;
  /** Set when a text was not UTF-8. */
  hasInvalidText = false;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  operation(): Operation {
    return this.bytes[this.at++] as Operation;
  }

  mirror(): number {
    this.at += 4;
    return this.bytes.readUInt32LE(this.at - 4);
  }

  length(): number {
    const { bytes, at } = this;
    this.at = at + 4;
    return (
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    );
  }
}
