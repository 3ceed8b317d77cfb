const INITIAL_BYTES = 64 * 1024;

/**
 * A growing output buffer that encoders write into. Encoders may work on `buffer` and `length` directly after `reserve`;
 * the buffer object changes when it grows, so read it again after every `reserve`.
 */
export class ByteWriter {
  buffer: Buffer;
  length = 0;

  constructor(initialBytes: number = INITIAL_BYTES) {
    this.buffer = Buffer.allocUnsafe(initialBytes);
  }

  /** Makes room for `bytes` more and returns the buffer to write into. */
  reserve(bytes: number): Buffer {
    const needed = this.length + bytes;
    if (needed > this.buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2));
      this.buffer.copy(grown, 0, 0, this.length);
      this.buffer = grown;
    }
    return this.buffer;
  }

  byte(value: number): void {
    this.reserve(1)[this.length++] = value;
  }

  /** Text known to be ASCII (also digits of numbers and bigints). */
  ascii(text: string): void {
    this.length += this.reserve(text.length).latin1Write(text, this.length);
  }

  utf8(text: string): void {
    this.length += this.reserve(text.length * 3).utf8Write(text, this.length);
  }

  bytes(source: Uint8Array, start = 0, end: number = source.length): void {
    const buffer = this.reserve(end - start);
    // A plain loop is quicker than set(subarray()) for the short values most columns hold.
    if (end - start < 48) {
      let at = this.length;
      for (let i = start; i < end; i++) buffer[at++] = source[i] as number;
      this.length = at;
      return;
    }
    buffer.set(start === 0 && end === source.length ? source : source.subarray(start, end), this.length);
    this.length += end - start;
  }

  /** A whole array that is known beforehand, such as a piece of an envelope: one memory copy, whatever its length. */
  piece(source: Uint8Array): void {
    this.reserve(source.length).set(source, this.length);
    this.length += source.length;
  }

  /** A view of what has been written since `from`; valid until the next write. */
  view(from = 0): Buffer {
    return this.buffer.subarray(from, this.length);
  }

  /** A copy of what has been written since `from`. */
  copy(from = 0): Buffer {
    return Buffer.from(this.view(from));
  }

  reset(): void {
    this.length = 0;
  }
}
