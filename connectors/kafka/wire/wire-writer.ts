import { ByteWriter } from '../../../src/events/byte-writer.ts';

/** The primitive types of Kafka's protocol, big-endian. https://kafka.apache.org/protocol#protocol_types */
export class WireWriter extends ByteWriter {
  int8(value: number): this {
    this.length = this.reserve(1).writeInt8(value, this.length);
    return this;
  }

  int16(value: number): this {
    this.length = this.reserve(2).writeInt16BE(value, this.length);
    return this;
  }

  int32(value: number): this {
    this.length = this.reserve(4).writeInt32BE(value, this.length);
    return this;
  }

  int64(value: bigint): this {
    this.length = this.reserve(8).writeBigInt64BE(value, this.length);
    return this;
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }

  string(text: string | null): this {
    if (text === null) return this.int16(-1);
    this.int16(Buffer.byteLength(text));
    this.utf8(text);
    return this;
  }

  /** Length first, then each element. */
  array<T>(items: readonly T[] | null, each: (item: T) => void): this {
    this.int32(items?.length ?? -1);
    for (const item of items ?? []) each(item);
    return this;
  }

  /** VARINT and VARLONG are one format: zig-zag, seven bits a byte. Exact for safe integers. */
  varint(value: number): this {
    const buffer = this.reserve(10);
    let at = this.length;
    if (value >= -0x4000_0000 && value < 0x4000_0000) {
      let bits = ((value << 1) ^ (value >> 31)) >>> 0;
      while (bits > 0x7f) {
        buffer[at++] = (bits & 0x7f) | 0x80;
        bits >>>= 7;
      }
      buffer[at++] = bits;
    } else {
      let bits = value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value);
      while (bits > 0x7fn) {
        buffer[at++] = Number(bits & 0x7fn) | 0x80;
        bits >>= 7n;
      }
      buffer[at++] = Number(bits);
    }
    this.length = at;
    return this;
  }
}

/** Bytes that `varint` takes for a value in [0, 2^30). */
export function varintBytes(value: number): number {
  return value < 0x40 ? 1 : value < 0x2000 ? 2 : value < 0x10_0000 ? 3 : value < 0x800_0000 ? 4 : 5;
}
