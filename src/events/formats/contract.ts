import type { ByteWriter } from '../byte-writer.ts';
import type { EventView, Side } from '../change-event.ts';
import type { Relation } from '../relation.ts';

/**
 * Two shapes of output are made straight from an event's tuple bytes, without an object per row:
 * - records (key, value, headers) for logs: Kafka, files, stdout;
 * - documents (one JSON object per row, and an id) for indices.
 * Encoders are generated per relation version and mapping, and hold everything that does not change from event to event.
 */

export interface RecordHeader {
  readonly key: string;
  readonly value: Buffer;
}

export interface RecordEncoder {
  /** Records the event becomes: delete + tombstone = 2, key change = 3 (delete, tombstone, create), dropped = 0. */
  parts(event: EventView): number;
  /** Writes the key; false (and nothing written) for a null key. */
  key(event: EventView, part: number, out: ByteWriter): boolean;
  /** Writes the value; false (and nothing written) for a tombstone. */
  value(event: EventView, part: number, out: ByteWriter): boolean;
  /** Shared between records where it can be: do not modify. */
  headers(event: EventView, part: number): readonly RecordHeader[];
}

/** What all events of one pipeline share. */
export interface RecordContext {
  /** Debezium's `topic.prefix`: `source.name`, and the first part of schema names. */
  readonly topicPrefix: string;
  readonly database: string;
  /** Tailrace's version, for `source.version`. */
  readonly version: string;
  /** UUID of this run, for the context headers. */
  readonly runId: string;
  /** Wall clock, ms: `ts_ms` of the envelope. */
  readonly nowMs: () => number;
}

/** What became of a column that a document should have had. */
export interface IncompleteDocument {
  /** Indices of columns whose value is an unchanged TOAST value that the event does not hold. */
  readonly unchanged: readonly number[];
}

export interface DocumentEncoder {
  /**
   * Writes the row of `side` as one JSON object, columns in table order; `not-captured` columns are left out.
   * Returns undefined when complete; else which columns are missing (they are left out of the object, never null).
   */
  document(event: EventView, side: Side, out: ByteWriter): IncompleteDocument | undefined;
}

/** Renders `orders-{id}` from a row: `{column}` is the column's text as PostgreSQL prints it. */
export interface TextTemplate {
  /** Indices of the columns it is made of. */
  readonly columns: readonly number[];
  /** Throws E_UNSUPPORTED_ROW when a column of the template is null, unchanged or not captured on that side. */
  render(event: EventView, side: Side): string;
}

/** Names a destination once per relation: `{schema}`, `{table}`, `{pipeline}`, `{database}`. */
export type DestinationTemplate = (relation: Relation) => string;
