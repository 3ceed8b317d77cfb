import type { LogBatch } from '../event-log/contract.ts';
import type { Relation } from '../events/relation.ts';
import { RoutedBatch } from './routed-batch.ts';
import type { Mapping, Route } from './sink.ts';

export interface RouterOptions {
  /** Mappings of this sink that apply to a table, in the order they are written. */
  readonly mappingsFor: (relation: Relation) => readonly Mapping[];
  readonly prepare: (mapping: Mapping, relation: Relation, signal: AbortSignal) => Promise<Route>;
}

/** Turns batches of the log into batches of one sink. Routes are made once per relation version. */
export class Router {
  readonly #options: RouterOptions;
  readonly #routes = new Map<number, readonly Route[]>();

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /** Makes the routes of relations before their first event, so that what is missing is found at the start. */
  async prepare(relations: readonly Relation[], signal: AbortSignal): Promise<void> {
    for (const relation of relations) {
      if (this.#routes.has(relation.version)) continue;
      this.#routes.set(relation.version, await this.#prepare(relation, signal));
    }
  }

  async route(batch: LogBatch, signal: AbortSignal): Promise<RoutedBatch> {
    const routed = new RoutedBatch(batch);
    const lookUp = (version: number): readonly Route[] | undefined => this.#routes.get(version);
    for (let missing = routed.fill(lookUp); missing !== undefined; missing = routed.fill(lookUp)) {
      this.#routes.set(missing.version, await this.#prepare(missing, signal));
    }
    return routed;
  }

  /** A destination may have to be created for a relation version met for the first time. */
  async #prepare(relation: Relation, signal: AbortSignal): Promise<readonly Route[]> {
    const routes: Route[] = [];
    for (const mapping of this.#options.mappingsFor(relation)) {
      routes.push(await this.#options.prepare(mapping, relation, signal));
    }
    return routes;
  }
}
