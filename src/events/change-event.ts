import type { Position } from './position.ts';
import type { Relation } from './relation.ts';

/** What happened to a row (or a table, or on the WAL). `read` is a row read by a backfill. */
export type Op = 'insert' | 'update' | 'delete' | 'truncate' | 'message' | 'read';

export interface TransactionInfo {
  /** 32 bits, repeats after wraparound: reported, never an identity. */
  readonly xid: number;
  /** Microseconds since 1970-01-01T00:00:00Z, from the commit record. */
  readonly commitTimeUs: bigint;
  readonly commitLsn: bigint;
  /** End of the commit record: the position a holder of the whole transaction may confirm. */
  readonly endLsn: bigint;
  /** Number of data events in the whole transaction: the last event's `seq`. */
  readonly eventCount: number;
  /** Replication origin of the transaction, when it came through one. */
  readonly origin?: { readonly name: string; readonly commitLsn: bigint } | undefined;
}

/**
 * A column's value where the server wrote it: text in the server's output format, as a slice of shared bytes.
 * `unchanged` is a TOASTed value that an UPDATE did not touch (never null); `not-captured` was dropped by configuration or
 * is not part of a key-only old tuple; `absent` means the event has no tuple on that side.
 */
export type ColumnState = 'value' | 'null' | 'unchanged' | 'not-captured' | 'absent';

export type Side = 'before' | 'after';

/** What the old tuple of an update or delete holds. https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html */
export type BeforeImage = 'none' | 'key' | 'full';

/**
 * One event as a cursor over shared bytes. The object and everything it returns is reused: keep nothing past the next
 * move of the cursor or the release of its batch. Columns are found when asked for, not before.
 */
export interface EventView {
  readonly op: Op;
  readonly relation: Relation;
  /** Allocates; hot paths use `commitLsn` and `seq`. */
  readonly position: Position;
  readonly commitLsn: bigint;
  readonly seq: number;
  /** LSN of the row's own WAL record: reported only, it does not order. */
  readonly walLsn: bigint;
  readonly transaction: TransactionInfo;
  readonly beforeImage: BeforeImage;
  readonly hasAfter: boolean;

  /** State of column `i` of a side; when `value`, `start` and `end` of `bytes` are set to it. */
  column(side: Side, i: number): ColumnState;
  /** The bytes that the last `column()` answered `value` for: `bytes[start, end)`. */
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** The last found value as a string (UTF-8). */
  text(): string;

  /** True when an update moved the row to another event key (compares `relation.key` before and after, bytewise). */
  readonly keyChanged: boolean;

  /** For `truncate`. */
  readonly truncateOptions: { readonly cascade: boolean; readonly restartIdentity: boolean };
  /** For `message`: the parts of pg_logical_emit_message; `content` is a slice of shared bytes. */
  readonly message: { readonly prefix: string; readonly content: Buffer; readonly transactional: boolean };
}
