import type { LogBatch } from '../event-log/contract.ts';
import type { EventView } from '../events/change-event.ts';
import type { Checkpoint } from '../events/position.ts';
import type { Relation } from '../events/relation.ts';
import type { Route, SinkBatch, SinkItem } from './sink.ts';

/** Answers which routes events of a relation version take, in the order of the mappings; undefined: not made yet. */
export type RoutesOf = (relationVersion: number) => readonly Route[] | undefined;

/**
 * A batch of the log, seen through a sink's routes: three numbers per item in typed arrays, no object per event.
 * Items of one event stand together, in the order of its mappings; events keep the order of the log.
 */
export class RoutedBatch implements SinkBatch {
  readonly #log: LogBatch;
  #events = new Int32Array(256);
  #routeOf = new Int32Array(256);
  #parts = new Uint8Array(256);
  #count = 0;
  readonly #routes: Route[] = [];
  readonly #firstRouteOf = new Map<number, number>();
  #filled = 0;
  // Without items the cursor is never handed out.
  readonly #cursor: { event: EventView; route: Route; part: number } = {
    event: undefined as unknown as EventView,
    route: undefined as unknown as Route,
    part: 0,
  };

  constructor(log: LogBatch) {
    this.#log = log;
  }

  /**
   * Goes through the events from where it stopped. Returns the relation whose routes are missing, to be called again when
   * they are made; undefined when the batch is complete.
   */
  fill(routesOf: RoutesOf): Relation | undefined {
    let lastVersion = -1;
    let first = 0;
    let routes: readonly Route[] = [];
    for (; this.#filled < this.#log.count; this.#filled++) {
      const event = this.#log.event(this.#filled);
      const version = event.relation.version;
      if (version !== lastVersion) {
        const found = routesOf(version);
        if (found === undefined) return event.relation;
        lastVersion = version;
        routes = found;
        first = this.#firstRoute(version, found);
      }
      for (let r = 0; r < routes.length; r++) {
        const parts = (routes[r] as Route).parts(event);
        for (let part = 0; part < parts; part++) this.#push(this.#filled, first + r, part);
      }
    }
    return undefined;
  }

  get to(): Checkpoint {
    return this.#log.to;
  }

  get wholeTransactions(): boolean {
    return this.#log.wholeTransactions;
  }

  get commitTimeUs(): bigint {
    return this.#log.commitTimeUs;
  }

  get count(): number {
    return this.#count;
  }

  item(i: number): SinkItem {
    if (i < 0 || i >= this.#count) throw new RangeError(`Item ${i} of a batch of ${this.#count}`);
    const cursor = this.#cursor;
    cursor.event = this.#log.event(this.#events[i] as number);
    cursor.route = this.#routes[this.#routeOf[i] as number] as Route;
    cursor.part = this.#parts[i] as number;
    return cursor;
  }

  #firstRoute(version: number, routes: readonly Route[]): number {
    const known = this.#firstRouteOf.get(version);
    if (known !== undefined) return known;
    const first = this.#routes.length;
    this.#firstRouteOf.set(version, first);
    this.#routes.push(...routes);
    return first;
  }

  #push(event: number, route: number, part: number): void {
    const at = this.#count++;
    if (at === this.#events.length) this.#grow();
    this.#events[at] = event;
    this.#routeOf[at] = route;
    this.#parts[at] = part;
  }

  #grow(): void {
    const capacity = this.#events.length * 4;
    const events = new Int32Array(capacity);
    events.set(this.#events);
    this.#events = events;
    const routeOf = new Int32Array(capacity);
    routeOf.set(this.#routeOf);
    this.#routeOf = routeOf;
    const parts = new Uint8Array(capacity);
    parts.set(this.#parts);
    this.#parts = parts;
  }
}
