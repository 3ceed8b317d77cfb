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
import { ByteWriter } from '../../src/events/byte-writer.ts';
import type { RecordEncoder } from '../../src/events/formats/contract.ts';
import { createRecordEncoder } from '../../src/events/formats/record-format.ts';
import type { Checkpoint } from '../../src/events/position.ts';
import type { Relation } from '../../src/events/relation.ts';
import type { NullConfig, NullMapping } from './config.ts';
import { LatencyHistogram } from './latency-histogram.ts';

export interface NullRoute extends Route {
  readonly encoder: RecordEncoder;
}

/** What a null sink has seen: the line it prints. */
export interface NullReport {
  readonly sink: string;
  readonly events: number;
  readonly records: number;
  /** Of keys and values. */
  readonly bytes: number;
  /** From the first batch to the last. */
  readonly seconds: number;
  readonly events_per_second: number;
  /** From the commit on the server to the end of the batch here, by the wall clocks of both. */
  readonly latency_ms: { readonly p50: number; readonly p99: number; readonly max: number };
}

export interface NullSinkOptions {
  readonly config: NullConfig;
  readonly context: SinkContext;
  /** Wall clock with a fraction: commit times have microseconds. */
  readonly nowUs: () => number;
  readonly print: (line: string) => void;
}

/** Makes what a real target would be sent, counts it and drops it. */
export class NullSink implements Sink<NullRoute> {
  readonly #options: NullSinkOptions;
  readonly #latency = new LatencyHistogram();
  readonly #out = new ByteWriter();
  #events = 0;
  #records = 0;
  #bytes = 0;
  #firstMs: number | undefined;
  #lastMs = 0;
  #finished = false;
  #accepted: Checkpoint | undefined;

  constructor(options: NullSinkOptions) {
    this.#options = options;
  }

  async open(): Promise<undefined> {
    return undefined;
  }

  async prepare(mapping: Mapping, relation: Relation): Promise<NullRoute> {
    const { pipeline, database, version, runId, clock } = this.#options.context;
    const encoder = createRecordEncoder(mapping.options as NullMapping, relation, {
      topicPrefix: pipeline,
      database,
      version,
      runId,
      nowMs: () => clock.nowMs(),
    });
    return { destination: 'null', parts: (event) => encoder.parts(event), encoder };
  }

  async write(batch: SinkBatch<NullRoute>): Promise<WriteResult> {
    const { config, context } = this.#options;
    if (batch.count > 0 && !this.#finished) {
      this.#firstMs ??= context.clock.monotonicMs();
      const rejected = config.bytes ? this.#encode(batch) : [];
      if (rejected.length > 0) return { accepted: this.#accepted, rejected };
      this.#count(batch);
      this.#lastMs = context.clock.monotonicMs();
      if (config.stop_after !== undefined && this.#events >= config.stop_after) this.#finish();
    }
    this.#accepted = batch.to;
    return { accepted: batch.to, rejected: [] };
  }

  async flush(): Promise<Checkpoint | undefined> {
    return this.#accepted;
  }

  async close(): Promise<void> {
    if (!this.#finished) this.#tell();
    this.#finished = true;
  }

  get report(): NullReport {
    const seconds = (this.#lastMs - (this.#firstMs ?? this.#lastMs)) / 1000;
    const quantileMs = (q: number): number => (this.#latency.quantileUs(q) ?? 0) / 1000;
    return {
      sink: this.#options.context.name,
      events: this.#events,
      records: this.#records,
      bytes: this.#bytes,
      seconds,
      events_per_second: seconds > 0 ? Math.round(this.#events / seconds) : 0,
      latency_ms: { p50: quantileMs(0.5), p99: quantileMs(0.99), max: this.#latency.maxUs / 1000 },
    };
  }

  #encode(batch: SinkBatch<NullRoute>): Rejection[] {
    const out = this.#out;
    let bytes = 0;
    const rejected = writeItems(batch, ({ event, route, part }) => {
      out.reset();
      route.encoder.key(event, part, out);
      route.encoder.value(event, part, out);
      bytes += out.length;
    });
    if (rejected.length === 0) this.#bytes += bytes;
    return rejected;
  }

  /** Events of one transaction share its commit time: one entry for all of them. */
  #count(batch: SinkBatch<NullRoute>): void {
    const nowUs = this.#options.nowUs();
    let commitTimeUs = -1n;
    let events = 0;
    let of = 0;
    for (let i = 0; i < batch.count; i++) {
      const { event, part } = batch.item(i);
      if (part !== 0) continue;
      events++;
      if (event.transaction.commitTimeUs !== commitTimeUs) {
        if (of > 0) this.#latency.record(nowUs - Number(commitTimeUs), of);
        commitTimeUs = event.transaction.commitTimeUs;
        of = 0;
      }
      of++;
    }
    if (of > 0) this.#latency.record(nowUs - Number(commitTimeUs), of);
    this.#events += events;
    this.#records += batch.count;
  }

  #finish(): void {
    this.#finished = true;
    this.#tell();
    this.#options.context.finish?.();
  }

  #tell(): void {
    const { config, context, print } = this.#options;
    if (config.report) print(`${JSON.stringify(this.report)}\n`);
    else context.logger.info(this.report, `sink ${context.name} has counted`);
  }
}
