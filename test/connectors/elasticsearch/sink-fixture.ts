import type { z } from 'zod';
import type { configSchema, ElasticsearchMapping } from '../../../connectors/elasticsearch/config.ts';
import type { ElasticsearchRoute } from '../../../connectors/elasticsearch/documents/route.ts';
import { elasticsearchConnector } from '../../../connectors/elasticsearch/elasticsearch-connector.ts';
import type { Mapping, Sink, SinkBatch, SinkContext, WriteResult } from '../../../src/delivery/sink.ts';
import type { Checkpoint, Position } from '../../../src/events/position.ts';
import type { Relation } from '../../../src/events/relation.ts';
import { type BatchOptions, type EventScript, mapping, sinkContext } from '../batch-builder.ts';

export type ConfigInput = Partial<z.input<typeof configSchema>>;
export type MappingInput = Partial<Record<keyof ElasticsearchMapping, unknown>>;

export interface FixtureOptions {
  readonly url: string;
  /** Begins the names of indices, the positions index among them. */
  readonly prefix: string;
  readonly config?: ConfigInput | undefined;
  readonly context?: Partial<SinkContext> | undefined;
}

/** A sink of the connector, driven as a lane drives it. */
export class SinkFixture implements AsyncDisposable {
  readonly sink: Sink<ElasticsearchRoute>;
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  readonly #prefix: string;
  readonly #routes = new Map<Relation, readonly ElasticsearchRoute[]>();
  #closed = false;

  constructor({ url, prefix, config, context }: FixtureOptions) {
    this.#prefix = prefix;
    this.signal = this.#abort.signal;
    this.sink = elasticsearchConnector.create(
      elasticsearchConnector.config.parse({ url, positions_index: `${prefix}positions`, ...config }),
      sinkContext({ name: 'search', dataDir: '/nonexistent', ...context }),
    );
  }

  open(): Promise<Checkpoint | undefined> {
    return this.sink.open(this.signal);
  }

  mapping(options: MappingInput = {}, given: Partial<Mapping> = {}): Mapping {
    const parsed = elasticsearchConnector.mapping.parse({ index: `${this.#prefix}{table}`, ...options });
    return mapping<unknown>({ ...given, options: parsed });
  }

  async prepare(table: Relation, options?: MappingInput): Promise<ElasticsearchRoute> {
    const route = await this.sink.prepare(this.mapping(options), table, this.signal);
    this.#routes.set(table, [route]);
    return route;
  }

  /** A batch of the script's events, with routes made by `prepare`. */
  batch(script: EventScript, options: BatchOptions<ElasticsearchRoute> = {}): SinkBatch<ElasticsearchRoute> {
    return script.batch({ routes: (table) => this.#routes.get(table) ?? [], ...options });
  }

  write(batch: SinkBatch<ElasticsearchRoute>): Promise<WriteResult> {
    return this.sink.write(batch, this.signal);
  }

  /** Everything of the script after a position, in batches as large as told, made durable; returns the stored checkpoint. */
  async deliver(
    script: EventScript,
    options: BatchOptions<ElasticsearchRoute> = {},
  ): Promise<Checkpoint | undefined> {
    let after: Position | undefined = options.after;
    for (;;) {
      const batch = this.batch(script, { ...options, after });
      const { rejected } = await this.write(batch);
      if (rejected.length > 0) throw new Error(`Rejected: ${JSON.stringify(rejected)}`);
      after = batch.to.position;
      if (after.commitLsn === script.end.position.commitLsn && after.seq === script.end.position.seq) break;
    }
    return this.sink.flush(this.signal);
  }

  abort(): void {
    this.#abort.abort(new Error('aborted by the test'));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.sink.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
