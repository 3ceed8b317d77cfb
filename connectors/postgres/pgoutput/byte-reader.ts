import type { Lsn } from '../../../src/events/lsn.ts';
import { ProtocolViolation } from './protocol-violation.ts';

/** PostgreSQL counts time from 2000-01-01, everybody else from 1970. */
export const POSTGRES_EPOCH_US = 946_684_800_000_000n;

/** A cursor over `bytes[start, end)` in network byte order that never reads beyond its end. */
export class ByteReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get at(): number {
    return this.#at;
  }

  get left(): number {
    return this.#end - this.#at;
  }

  uint8(what: string): number {
    return this.#bytes.readUInt8(this.#advance(1, what));
  }

  uint16(what: string): number {
    return this.#bytes.readUInt16BE(this.#advance(2, what));
  }

  int32(what: string): number {
    return this.#bytes.readInt32BE(this.#advance(4, what));
  }

  uint32(what: string): number {
    return this.#bytes.readUInt32BE(this.#advance(4, what));
  }

  lsn(what: string): Lsn {
    return this.#bytes.readBigUInt64BE(this.#advance(8, what));
  }

  /** Microseconds since 1970. */
  timeUs(what: string): bigint {
    return this.#bytes.readBigInt64BE(this.#advance(8, what)) + POSTGRES_EPOCH_US;
  }

  /** Text up to a zero byte. */
  cstring(what: string): string {
    const zero = this.#bytes.indexOf(0, this.#at);
    if (zero < 0 || zero >= this.#end) throw new ProtocolViolation(`${what} does not end`, this.#at);
    const text = this.#bytes.toString('utf8', this.#at, zero);
    this.#at = zero + 1;
    return text;
  }

  skip(count: number, what: string): void {
    this.#advance(count, what);
  }

  /** Messages have no optional tail: what is left over was misunderstood. */
  expectEnd(): void {
    if (this.left !== 0) throw new ProtocolViolation(`${this.left} bytes are left over`, this.#at);
  }

  #advance(count: number, what: string): number {
    const at = this.#at;
    if (count < 0 || count > this.#end - at) {
      throw new ProtocolViolation(`${what} (${count} bytes) goes beyond the end`, at);
    }
    this.#at = at + count;
    return at;
  }
}
