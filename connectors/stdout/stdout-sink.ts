import type { Writable } from 'node:stream';
import type {
  Mapping,
  Rejection,
  Route,
  Sink,
  SinkBatch,
  SinkContext,
  WriteResult,
} from '../../src/delivery/sink.ts';
import { writeItems } from '../../src/delivery/write-items.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import { ByteWriter } from '../../src/events/byte-writer.ts';
import { type LineOptions, writeLine } from '../../src/events/formats/ndjson.ts';
import { createRecordEncoder } from '../../src/events/formats/record-format.ts';
import type { Checkpoint } from '../../src/events/position.ts';
import type { Relation } from '../../src/events/relation.ts';
import type { StdoutMapping } from './config.ts';

export type StdoutRoute = Route & LineOptions;

/** Writes records as lines and waits for the reader; has no position. */
export class StdoutSink implements Sink<StdoutRoute> {
  readonly #context: SinkContext;
  readonly #stream: Writable;
  #accepted: Checkpoint | undefined;
  #readerIsGone = false;

  constructor(context: SinkContext, stream: Writable) {
    this.#context = context;
    this.#stream = stream;
  }

  async open(): Promise<undefined> {
    // Node tells of a closed pipe by an event too, which nobody listens to once a write has failed.
    this.#stream.on('error', ignoreError);
    return undefined;
  }

  async prepare(mapping: Mapping, relation: Relation): Promise<StdoutRoute> {
    const { records, ...format } = mapping.options as StdoutMapping;
    const { pipeline, database, version, runId, clock } = this.#context;
    const encoder = createRecordEncoder(format, relation, {
      topicPrefix: pipeline,
      database,
      version,
      runId,
      nowMs: () => clock.nowMs(),
    });
    return { destination: 'stdout', parts: (event) => encoder.parts(event), encoder, records };
  }

  async write(batch: SinkBatch<StdoutRoute>, signal: AbortSignal): Promise<WriteResult> {
    if (!this.#readerIsGone) {
      // A buffer of its own for each batch: the stream may hold it beyond this call.
      const out = new ByteWriter();
      const rejected = encode(batch, out);
      if (rejected.length > 0) return { accepted: this.#accepted, rejected };
      if (out.length > 0) await this.#print(out.view(), signal);
    }
    this.#accepted = batch.to;
    return { accepted: batch.to, rejected: [] };
  }

  async flush(): Promise<Checkpoint | undefined> {
    return this.#accepted;
  }

  async close(): Promise<void> {
    this.#stream.off('error', ignoreError);
  }

  /** Resolves when the reader's side has taken the bytes: a slow reader holds the lane, not our memory. */
  async #print(bytes: Buffer, signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    const written = new Promise<void>((resolve, reject) => {
      this.#stream.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
    try {
      await Promise.race([written, aborted.promise]);
    } catch (thrown) {
      signal.throwIfAborted();
      this.#readerLeft(thrown);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** `tailrace run | head`: the reader has what it wanted, which is no failure. */
  #readerLeft(thrown: unknown): void {
    const { finish, name, logger } = this.#context;
    const errno = (thrown as NodeJS.ErrnoException).code;
    if (errno === 'EPIPE' && finish !== undefined) {
      logger.info({ sink: name }, 'the reader of standard output has left');
      this.#readerIsGone = true;
      finish();
      return;
    }
    throw new TailraceError({
      code: 'E_SINK_UNAVAILABLE',
      message: `Standard output cannot be written (${errno ?? 'closed'}).`,
      cause: thrown,
    });
  }
}

function encode(batch: SinkBatch<StdoutRoute>, out: ByteWriter): Rejection[] {
  return writeItems(batch, ({ event, route, part }) => writeLine(route, event, part, out));
}

function ignoreError(): void {}
