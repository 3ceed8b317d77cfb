import { unreadable } from './value-writer.ts';

const BACKSLASH = 0x5c;
const LOWER_X = 0x78;
const ONE = 0x31;
const ZERO = 0x30;

/** Grows to the largest value seen up to this; larger ones get memory of their own, so that one of them does not stay for ever. */
const KEPT_BYTES = 1024 * 1024;

/** Bytes decoded from text; reused, valid until the next call on the same object. */
export class DecodedBytes {
  bytes = new Uint8Array(64);
  length = 0;

  /** A bytea in its hex output form: `\x` and two digits a byte. */
  fromBytea(text: Buffer, start: number, end: number): void {
    if (end - start < 2 || text[start] !== BACKSLASH || text[start + 1] !== LOWER_X)
      throw unreadable('bytea (hex)');
    this.fromHex(text, start + 2, end);
  }

  fromHex(text: Buffer, start: number, end: number): void {
    const length = (end - start) / 2;
    if (!Number.isInteger(length)) throw unreadable('bytea (hex)');
    const bytes = this.#room(length);
    let invalid = 0;
    for (let i = start, k = 0; k < length; i += 2, k++) {
      const byte =
        ((HEX_VALUE[text[i] as number] as number) << 4) | (HEX_VALUE[text[i + 1] as number] as number);
      invalid |= byte;
      bytes[k] = byte;
    }
    if (invalid > 0xff) throw unreadable('bytea (hex)');
  }

  /**
   * A bit string as Debezium's Bits: the rightmost bit is bit 0, bytes in little-endian order, high zero bytes left out.
   * The length of the bit string is not part of it.
   */
  fromBits(text: Buffer, start: number, end: number): void {
    const bytes = this.#room((end - start + 7) >> 3);
    bytes.fill(0, 0, this.length);
    let used = 0;
    for (let i = end - 1, bit = 0; i >= start; i--, bit++) {
      const char = text[i];
      if (char === ONE) {
        const at = bit >> 3;
        bytes[at] = (bytes[at] as number) | (1 << (bit & 7));
        used = at + 1;
      } else if (char !== ZERO) {
        throw unreadable('bit');
      }
    }
    this.length = used;
  }

  #room(length: number): Uint8Array {
    if (length > this.bytes.length || this.bytes.length > KEPT_BYTES) {
      this.bytes = new Uint8Array(length > KEPT_BYTES ? length : Math.max(length * 2, 64));
    }
    this.length = length;
    return this.bytes;
  }
}

/** Value of a hexadecimal digit; 0x1000 for what is none, which stays visible above any byte. */
const HEX_VALUE = new Uint16Array(256).fill(0x1000);
for (let value = 0; value < 16; value++) {
  HEX_VALUE[value.toString(16).charCodeAt(0)] = value;
  HEX_VALUE[value.toString(16).toUpperCase().charCodeAt(0)] = value;
}
