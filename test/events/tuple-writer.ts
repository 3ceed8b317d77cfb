import { ByteWriter } from '../../src/events/byte-writer.ts';
import { KIND } from '../../src/events/tuple/tuple-layout.ts';

/** Writes TupleData, column by column in table order: `begin`, then one call per column. */
export class TupleWriter {
  readonly out: ByteWriter;

  constructor(out: ByteWriter = new ByteWriter(1024)) {
    this.out = out;
  }

  begin(columnCount: number): void {
    const buffer = this.out.reserve(2);
    buffer.writeUInt16BE(columnCount, this.out.length);
    this.out.length += 2;
  }

  null(): void {
    this.out.byte(KIND.null);
  }

  unchanged(): void {
    this.out.byte(KIND.unchanged);
  }

  notCaptured(): void {
    this.out.byte(KIND.notCaptured);
  }

  /** A value's text as the server would send it. */
  text(value: string): void {
    const bytes = Buffer.byteLength(value);
    this.#header(bytes);
    this.out.utf8(value);
  }

  /** A value whose text is `source[start, end)`. */
  bytes(source: Uint8Array, start = 0, end: number = source.length): void {
    this.#header(end - start);
    this.out.bytes(source, start, end);
  }

  #header(byteLength: number): void {
    const buffer = this.out.reserve(5 + byteLength);
    buffer[this.out.length] = KIND.text;
    buffer.writeInt32BE(byteLength, this.out.length + 1);
    this.out.length += 5;
  }
}
