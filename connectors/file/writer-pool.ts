import { ByteWriter } from '../../src/events/byte-writer.ts';

/** Memory of buffers that wait for the next batch: enough for one large file, or many small ones. */
const KEPT_BYTES = 32 * 1024 * 1024;

/** Buffers for the lines of a batch, used again: growing one anew for every batch costs more than filling it. */
export class WriterPool {
  readonly #writers: ByteWriter[] = [];
  #bytes = 0;

  take(): ByteWriter {
    const writer = this.#writers.pop();
    if (writer === undefined) return new ByteWriter();
    this.#bytes -= writer.buffer.length;
    return writer;
  }

  give(writer: ByteWriter): void {
    if (this.#bytes + writer.buffer.length > KEPT_BYTES) return;
    writer.reset();
    this.#bytes += writer.buffer.length;
    this.#writers.push(writer);
  }
}
