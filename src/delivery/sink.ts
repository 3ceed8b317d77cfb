import type { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { EventView } from '../events/change-event.ts';
import type { Checkpoint, Position } from '../events/position.ts';
import type { Relation } from '../events/relation.ts';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';

/**
 * Words used here.
 * - sink: one entry of `sinks:` in the configuration, at run time one object with one position.
 * - connector: the code for one type of sink; one folder below connectors/.
 * - mapping: one line of a table's `to:`: this table into that sink, and how.
 * - route: a mapping made concrete for one relation version: destination and encoders, made once, used for every event.
 * - item: one thing a sink writes for an event under a route: a record, or an operation on a document. Most events give one.
 * - accepted: the sink has taken it and will not ask for it again while it lives. durable: it survives both sides' crash, position included.
 * - lane: the loop that moves events from the log into one sink.
 */

/** The options of one line of `to:`, validated by the connector's `mapping` schema, and where it was written. */
export interface Mapping<M = unknown> {
  /** Stable name for messages: `public.orders -> search`. */
  readonly id: string;
  /** The table name or pattern it stands under. */
  readonly table: string;
  readonly sink: string;
  readonly options: M;
  /** `tailrace.yaml:14:9`, for errors. */
  readonly where: string;
}

export interface Capabilities {
  /** `write` calls that may be unsettled at once. */
  readonly inFlight: number;
  /** False for sinks that never hold the slot back and have no position (stdout, null). */
  readonly positioned: boolean;
  /** Upper bounds of one batch. */
  readonly maxBatchEvents: number;
  readonly maxBatchBytes: number;
  /** A source transaction up to this size is never cut into pieces. */
  readonly maxTransactionBytes: number;
  /** How long a batch may wait for more transactions; 0 = send what is there. */
  readonly lingerMs: number;
  /** How often accepted writes are made durable by `flush` while there is traffic. */
  readonly flushIntervalMs: number;
}

/** See the head of this file. Connectors extend it with what their sink needs (encoders, id template). */
export interface Route {
  /** Topic, index, file or table. */
  readonly destination: string;
  /** How many items the event becomes under this route; 0 = not for this destination. */
  parts(event: EventView): number;
}

/** A cursor: reused, keep nothing of it past the next `item()`. */
export interface SinkItem<R extends Route = Route> {
  readonly event: EventView;
  readonly route: R;
  /** Which of the event's items: 0 <= part < route.parts(event). */
  readonly part: number;
}

/** Routed events, in order. Valid until the `write` it was given to has settled. */
export interface SinkBatch<R extends Route = Route> {
  /** Where the sink stands when all of it is held. A batch without items only moves the checkpoint. */
  readonly to: Checkpoint;
  /** False for a piece of a transaction too large to be delivered at once. */
  readonly wholeTransactions: boolean;
  readonly count: number;
  /** Commit time of the last transaction, microseconds since 1970. */
  readonly commitTimeUs: bigint;
  item(i: number): SinkItem<R>;
}

/**
 * One item a sink refuses for good. When a write rejects anything, the sink's position has not moved (a transaction that
 * would carry it is aborted; idempotent writes of the other items may have happened): the lane records the items as dead
 * letters and then stops, or calls again with a batch that leaves them out.
 */
export interface Rejection {
  readonly item: number;
  /** The sink's own name for it: `document_parsing_exception`, `RECORD_TOO_LARGE`. */
  readonly reason: string;
  /** For people; without row values. */
  readonly detail: string;
}

export type WriteResult = {
  /** The batch's `to`; with rejections, where the sink stood before. */
  readonly accepted: Checkpoint | undefined;
  /** Present when the write made it durable as well, position included. */
  readonly durable?: Checkpoint | undefined;
  readonly rejected: readonly Rejection[];
};

/**
 * One target. Errors: a TailraceError with `retriable: true` makes the lane call again with the same batch after a back-off (the sink must make
 * that harmless); `retriable: false` stops the lane. Rejections are for single events that can never be written.
 */
export interface Sink<R extends Route = Route> {
  /**
   * Connects, fences older instances first where the target can, then reads the stored checkpoint (undefined: the target is new).
   * Throws E_SINK_FOREIGN when the target belongs to another pipeline or source, E_SINK_CONFIG when something is missing.
   */
  open(signal: AbortSignal): Promise<Checkpoint | undefined>;
  /** Made once per mapping and relation version, before the first item that uses it. May create the destination (topic, index, table). */
  prepare(mapping: Mapping, relation: Relation, signal: AbortSignal): Promise<R>;
  write(batch: SinkBatch<R>, signal: AbortSignal): Promise<WriteResult>;
  /** Everything accepted is durable when it resolves, checkpoint included. */
  flush(signal: AbortSignal): Promise<Checkpoint | undefined>;
  close(): Promise<void>;
}

export interface SinkContext {
  readonly pipeline: string;
  /** The sink's name in the configuration: with the pipeline, the identity its position is stored under. */
  readonly name: string;
  /** `source` of the checkpoints this run writes. */
  readonly source: string;
  /** Database name on the server, for envelopes. */
  readonly database: string;
  /** Tailrace's version and a UUID of this run, for envelopes. */
  readonly version: string;
  readonly runId: string;
  /** Directory of the configuration file: relative paths in options are relative to it. */
  readonly baseDir: string;
  /** Directory of the event log; sinks with local state and no path of their own use a folder below it. */
  readonly dataDir: string;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** The sink has done all it was asked for (`stop_after` of null, a closed pipe): the run drains and ends with exit 0. */
  readonly finish?: (() => void) | undefined;
}

/** What `check` reports. */
export interface Finding {
  readonly level: 'ok' | 'warning' | 'error';
  readonly about: string;
  readonly fix?: string | undefined;
}

/** `C`: the validated options of the sink, `M`: of one mapping into it. One object per connector, registered in src/app. */
export interface SinkConnector<C = unknown, M = unknown, R extends Route = Route> {
  readonly type: string;
  /** A strict object without `type`; descriptions are the option reference. */
  readonly config: z.ZodType<C>;
  /** A strict object without `sink`. */
  readonly mapping: z.ZodType<M>;
  capabilities(config: C): Capabilities;
  /** Connects and looks, changes nothing. `relations` are the tables found for the sink's mappings. */
  check(input: CheckInput<C, M>): AsyncIterable<Finding>;
  create(config: C, context: SinkContext): Sink<R>;
}

export interface CheckInput<C, M> {
  readonly config: C;
  readonly context: SinkContext;
  readonly tables: readonly { readonly mapping: Mapping<M>; readonly relation: Relation }[];
  readonly signal: AbortSignal;
}

/** Position of an event, for messages and dead letters. */
export type EventPosition = Position;
