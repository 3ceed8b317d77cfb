/** Reads what brokers send. Throws RangeError at the end of the buffer: a torn or misread answer is never taken for a short one. */
export class WireReader {
  readonly buffer: Buffer;
  at: number;

  constructor(buffer: Buffer, at = 0) {
    this.buffer = buffer;
    this.at = at;
  }

  get remaining(): number {
    return this.buffer.length - this.at;
  }

  int8(): number {
    return this.buffer.readInt8(this.#advance(1));
  }

  int16(): number {
    return this.buffer.readInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.buffer.readInt32BE(this.#advance(4));
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.#advance(4));
  }

  int64(): bigint {
    return this.buffer.readBigInt64BE(this.#advance(8));
  }

  boolean(): boolean {
    return this.int8() !== 0;
  }

  string(): string {
    return this.nullableString() ?? '';
  }

  nullableString(): string | null {
    const length = this.int16();
    return length < 0 ? null : this.bytes(length).toString('utf8');
  }

  /** A null array reads as an empty one. */
  array<T>(each: () => T): T[] {
    const items: T[] = [];
    for (let count = this.int32(); count > 0; count--) items.push(each());
    return items;
  }

  /** A slice: shares memory. */
  bytes(length: number): Buffer {
    const start = this.#advance(length);
    return this.buffer.subarray(start, start + length);
  }

  varint(): number {
    return Number(this.#varlong());
  }

  #varlong(): bigint {
    let bits = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.buffer[this.#advance(1)] as number;
      bits |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return (bits >> 1n) ^ -(bits & 1n);
      if (shift >= 63n) throw new RangeError('A varint of more than ten bytes');
    }
  }

  #advance(bytes: number): number {
    const start = this.at;
    if (bytes < 0 || start + bytes > this.buffer.length) {
      throw new RangeError(`${bytes} bytes at ${start} of ${this.buffer.length}`);
    }
    this.at = start + bytes;
    return start;
  }
}
