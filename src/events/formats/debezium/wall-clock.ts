import { ByteWriter } from '../../byte-writer.ts';
import { writeInteger } from '../../values/integers.ts';

/** The envelope's end, `"ts_ms":…,"ts_us":…,"ts_ns":…}`: composed once in a millisecond. */
export class WallClock {
  readonly #nowMs: () => number;
  readonly #text = new ByteWriter(128);
  #ms = Number.NaN;
  #piece: Buffer = this.#text.view();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  write(out: ByteWriter): void {
    const ms = this.#nowMs();
    if (ms !== this.#ms) {
      this.#ms = ms;
      const text = this.#text;
      text.reset();
      writeInteger(text, ms);
      text.ascii(',"ts_us":');
      writeInteger(text, ms);
      text.ascii('000,"ts_ns":');
      writeInteger(text, ms);
      text.ascii('000000}');
      this.#piece = text.view();
    }
    out.piece(this.#piece);
  }
}
