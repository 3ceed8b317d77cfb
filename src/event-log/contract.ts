import type { TailraceError } from '../errors/tailrace-error.ts';
import type { EventView } from '../events/change-event.ts';
import type { Lsn } from '../events/lsn.ts';
import type { Checkpoint, Position } from '../events/position.ts';
import type { Relation, RelationDefinition } from '../events/relation.ts';

/**
 * Words used here.
 * - frame: one record of the log: a relation version, a transaction's begin or commit, an event, or a progress mark.
 * - appended: in memory, readable by lanes. synced: on disk, survives a power cut.
 * - tail: the newest part, held in memory; lanes that keep up read it before it is synced.
 * - progress: "every WAL byte below this LSN is covered", written when the server was ahead of the last transaction.
 */

export interface TransactionHeader {
  /** Start of the commit record, known from Begin. */
  readonly commitLsn: Lsn;
  readonly xid: number;
  /** Microseconds since 1970-01-01T00:00:00Z. */
  readonly commitTimeUs: bigint;
  readonly origin?: { readonly name: string; readonly commitLsn: Lsn } | undefined;
}

export type EventKind = 'insert' | 'update' | 'delete' | 'truncate' | 'message';

/**
 * The writing side, used by one source. Every call is synchronous into memory; the disk follows in groups (group fsync).
 * A failed disk write surfaces in `ready()` and in `failed`.
 */
export interface LogWriter {
  /**
   * The number of this relation version; the same for an equal definition (deep equality), a new one otherwise. After a restart a
   * definition that has not been used lately may get another number; a number never gets another definition.
   */
  relation(definition: RelationDefinition): Relation;
  begin(transaction: TransactionHeader): void;
  /**
   * One event of the open transaction. `body` is what follows the relation id in pgoutput's own message, untouched:
   * insert `N` + tuple; update [`K`|`O` + tuple] `N` + tuple; delete `K`|`O` + tuple; truncate: the option byte;
   * message: flags, LSN, prefix, content. A tuple column may have the kind `x` (not captured, no bytes) besides `n`, `u`, `t`.
   * Copied. The writer counts `seq` (from 1).
   */
  append(event: {
    relation: Relation;
    kind: EventKind;
    walLsn: Lsn;
    body: Uint8Array;
    start: number;
    end: number;
  }): void;
  /** Visible to readers from here. A transaction at or before the last event held is one sent again: its calls change nothing. */
  commit(endLsn: Lsn): void;
  /**
   * A message outside a transaction: an event of its own at (lsn, 0), visible at once. No transaction may be open: the server hands out a
   * transaction as a unit, so its messages stand before or behind. Ignored when it was sent before.
   */
  message(lsn: Lsn, body: Uint8Array): void;
  /** The open transaction's events are forgotten: the connection was lost inside it, the server sends it again. Nothing without one. */
  rollback(): void;
  /** No transaction may be open. Ignored unless beyond the last end. */
  progress(endLsn: Lsn): void;
  /** End LSN of the last commit or progress that is on disk. Monotone. */
  readonly synced: Lsn;
  /** End LSN of the last commit or progress in memory. */
  readonly appended: Lsn;
  /**
   * Back-pressure: undefined = go on; otherwise wait: for the disk, or at the log's limit for `releaseBelow`. Rejects with E_LOG_IO when the
   * log cannot be written: `retriable` while the disk is full (it is tried again), else for good. Ask between events too: memory is only
   * bounded for who does.
   */
  ready(): Promise<void> | undefined;
  /** Called whenever `synced` has moved. */
  onSynced(listener: () => void): void;
}

export interface ReadLimit {
  readonly maxEvents: number;
  readonly maxBytes: number;
  /** A transaction is only cut into pieces above this many bytes; smaller ones are delivered whole even beyond the limits above. */
  readonly maxTransactionBytes: number;
  /** Milliseconds to wait for more than one transaction once something is there; 0 = give what is there. */
  readonly lingerMs: number;
}

/** Whole transactions, or one piece of a large one. Its bytes are shared: valid until `release()`. */
export interface LogBatch {
  /** Position of the last event (or progress) in it, and what it covers. */
  readonly to: Checkpoint;
  /** True when `to` is the end of a transaction. */
  readonly wholeTransactions: boolean;
  /** Number of events; 0 for a batch that only brings progress. */
  readonly count: number;
  /** Bytes of log it spans. */
  readonly bytes: number;
  /** Commit time of its last transaction, microseconds since 1970; 0n when it only brings progress. */
  readonly commitTimeUs: bigint;
  /** Moves the batch's one cursor to event `i` and returns it. */
  event(i: number): EventView;
  release(): void;
}

export interface LogReader {
  /**
   * Waits until there is something beyond what was read; rejects with the signal's reason when it aborts (and may be called again).
   * E_GAP: retention has removed what comes next. E_LOG_CORRUPT, E_LOG_IO: it cannot be read. One call at a time; batches may be held meanwhile.
   */
  next(limit: ReadLimit, signal: AbortSignal): Promise<LogBatch>;
  close(): Promise<void>;
}

/** What decideStart() and status need to know of a log. */
export interface LogFacts {
  /** Undefined when the directory holds no log yet. */
  readonly identity?: LogIdentity | undefined;
  /** Position of the oldest event still held; undefined when empty. */
  readonly first?: Position | undefined;
  /** Everything after this end LSN up to `endLsn` is in the log: where its content begins without a gap. */
  readonly startLsn: Lsn;
  /** R: end LSN of the last commit or progress on disk; 0n when empty. */
  readonly endLsn: Lsn;
  /** Position of the last event. */
  readonly last: Position;
  readonly bytes: number;
  readonly segments: number;
}

/** Written when the log is made, before the slot: the intent to create it, so that a crash between the two is no riddle. */
export interface LogIdentity {
  readonly pipeline: string;
  /** system identifier + database oid. */
  readonly database: string;
  readonly slot: string;
  /** Rises when the numbering starts anew after an operator's recovery. */
  readonly generation: number;
  /** Timeline the log was written on last. */
  readonly timeline: number;
  readonly slotCreated: boolean;
}

export interface EventLog extends LogWriter {
  readonly facts: LogFacts;
  /** At its limit: `ready()` waits until retention frees something. */
  readonly full: boolean;
  /** Why nothing is written at the moment (`retriable`: the disk is full) or any more. */
  readonly failed: TailraceError | undefined;
  /** Transactions and messages that came again although they are held. */
  readonly replayed: number;
  /** `<database>#<generation>`: the `source` of every checkpoint. Throws before the first `setIdentity`. */
  readonly source: string;
  /** Durable when resolved. */
  setIdentity(identity: LogIdentity): Promise<void>;
  /** Commands that find the directory locked speak to this address; its token is for the file's owner only. */
  setAdmin(admin: AdminAddress): Promise<void>;
  /** Drops all content and begins after `startLsn`; identity is kept. Durable when resolved. */
  restartAt(startLsn: Lsn): Promise<void>;
  /**
   * Events strictly after `after` in order; events at or before it are skipped. `after` beyond the end is normal: waits for it.
   * `after: undefined` begins at the oldest event held.
   */
  read(after: Position | undefined, name: string): LogReader;
  /** Resolves when everything appended so far is on disk. */
  sync(): Promise<void>;
  /**
   * Nobody needs what is at or before `position`. Removes segments that lie wholly there and are older than `retainAgeMs`, or more than
   * `retainBytes` keeps, or in the way of `limitBytes`. Returns bytes freed. Remembered: space is freed at the limit without another call.
   */
  releaseBelow(position: Position): Promise<number>;
  close(): Promise<void>;
}

export interface AdminAddress {
  readonly url: string;
  readonly token: string;
}

export interface EventLogOptions {
  readonly dir: string;
  /** Disk the log may use; reading from the source waits at it. One transaction has to fit into it. */
  readonly limitBytes: number;
  /** A segment is closed at the first transaction beyond it; at most a quarter of `limitBytes` is used. */
  readonly segmentBytes: number;
  /** History kept after every sink has it: while it is younger, and the log smaller. Infinity: no bound. */
  readonly retainAgeMs: number;
  readonly retainBytes: number;
  /** Bytes appended but not yet on disk at which `ready()` makes the source wait. */
  readonly maxUnsyncedBytes: number;
  /** Longest time an append waits for its group's fsync to begin; 0 = it begins as soon as the one before has ended. */
  readonly syncIntervalMs: number;
  /** Bytes of the newest log kept in memory for lanes that keep up. */
  readonly tailBytes: number;
}

/** Type of a Relation that an event without table (a logical message) carries. */
export type { Relation };
