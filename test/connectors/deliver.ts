import type { Mapping, Route, Sink, WriteResult } from '../../src/delivery/sink.ts';
import type { Relation } from '../../src/events/relation.ts';
import type { BatchOptions, EventScript } from './batch-builder.ts';

export interface DeliverOptions<R extends Route> extends Omit<BatchOptions<R>, 'routes'> {
  /** The mappings of a relation; default: all for a table, none for a message. */
  readonly mappingsFor?: ((relation: Relation) => readonly Mapping[]) | undefined;
}

/** Prepares routes and writes batches as a lane does, without its retries. */
export class Delivery<R extends Route> {
  readonly #sink: Sink<R>;
  readonly #mappings: readonly Mapping[];
  readonly #routes = new Map<number, readonly R[]>();

  constructor(sink: Sink<R>, mappings: readonly Mapping[]) {
    this.#sink = sink;
    this.#mappings = mappings;
  }

  async write(
    script: EventScript,
    options: DeliverOptions<R> = {},
    signal: AbortSignal = new AbortController().signal,
  ): Promise<WriteResult> {
    for (const { relation } of script.events) {
      if (this.#routes.has(relation.version)) continue;
      const routes: R[] = [];
      const all = relation.oid === 0 ? [] : this.#mappings;
      for (const mapping of options.mappingsFor?.(relation) ?? all) {
        routes.push(await this.#sink.prepare(mapping, relation, signal));
      }
      this.#routes.set(relation.version, routes);
    }
    const { mappingsFor: _, ...batch } = options;
    return this.#sink.write(
      script.batch({ ...batch, routes: (relation) => this.#routes.get(relation.version) ?? [] }),
      signal,
    );
  }
}
