import type { Lsn } from '../../../src/events/lsn.ts';
import type { ReplicaIdentity } from '../../../src/events/relation.ts';

/**
 * The messages of pgoutput, protocol versions 1 to 4, under the names the manual gives them.
 * https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 *
 * Words used here.
 * - frame: one CopyData payload of the replication connection, header included.
 * - message: what the output plugin wrote: the payload of an XLogData frame.
 * - body: the part of a row, truncate or logical message that goes into the event log untouched.
 * - streamed: sent between Stream Start and Stream Stop, before its transaction has committed; carries the xid of its (sub)transaction.
 *
 * Times are microseconds since 1970-01-01T00:00:00Z.
 */
export type PgoutputMessage =
  | BeginMessage
  | CommitMessage
  | OriginMessage
  | RelationMessage
  | TypeMessage
  | RowMessage
  | TruncateMessage
  | LogicalMessage
  | StreamStartMessage
  | StreamStopMessage
  | StreamCommitMessage
  | StreamAbortMessage
  | BeginPrepareMessage
  | PrepareMessage
  | CommitPreparedMessage
  | RollbackPreparedMessage;

export interface BeginMessage {
  readonly kind: 'begin';
  /** Start of the commit record, although the message comes first. */
  readonly commitLsn: Lsn;
  readonly commitTimeUs: bigint;
  readonly xid: number;
}

export interface CommitMessage {
  readonly kind: 'commit';
  readonly commitLsn: Lsn;
  readonly endLsn: Lsn;
  readonly commitTimeUs: bigint;
}

export interface OriginMessage {
  readonly kind: 'origin';
  readonly commitLsn: Lsn;
  readonly name: string;
}

export interface RelationMessage {
  readonly kind: 'relation';
  readonly streamedXid?: number | undefined;
  readonly oid: number;
  /** The wire's empty string is spelled out as `pg_catalog`. */
  readonly schema: string;
  readonly table: string;
  readonly replicaIdentity: ReplicaIdentity;
  /** In the order of the tuples; only what the publication publishes. */
  readonly columns: readonly RelationMessageColumn[];
}

export interface RelationMessageColumn {
  readonly name: string;
  readonly typeOid: number;
  /** pg_attribute.atttypmod; -1 for none. */
  readonly typmod: number;
  /** Part of the replica identity; every column under REPLICA IDENTITY FULL. */
  readonly inIdentity: boolean;
}

/** Sent before the first Relation message that uses a type which is not built in. */
export interface TypeMessage {
  readonly kind: 'type';
  readonly streamedXid?: number | undefined;
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
}

/** Insert, update or delete; `bodyStart` points behind the relation id, the body ends with the message. */
export interface RowMessage {
  readonly kind: 'insert' | 'update' | 'delete';
  readonly streamedXid?: number | undefined;
  readonly relationOid: number;
  readonly bodyStart: number;
}

export interface TruncateMessage {
  readonly kind: 'truncate';
  readonly streamedXid?: number | undefined;
  readonly cascade: boolean;
  readonly restartIdentity: boolean;
  readonly relationOids: readonly number[];
}

/** Written by pg_logical_emit_message; `bodyStart` points at the flags, the body ends with the message. */
export interface LogicalMessage {
  readonly kind: 'message';
  readonly streamedXid?: number | undefined;
  readonly transactional: boolean;
  readonly lsn: Lsn;
  readonly prefix: string;
  readonly bodyStart: number;
}

export interface StreamStartMessage {
  readonly kind: 'stream-start';
  readonly xid: number;
  readonly firstSegment: boolean;
}

export interface StreamStopMessage {
  readonly kind: 'stream-stop';
}

export interface StreamCommitMessage {
  readonly kind: 'stream-commit';
  readonly xid: number;
  readonly commitLsn: Lsn;
  readonly endLsn: Lsn;
  readonly commitTimeUs: bigint;
}

/** `subXid` equals `xid` when the whole transaction is aborted. `abort` comes with `streaming 'parallel'` (protocol 4) only. */
export interface StreamAbortMessage {
  readonly kind: 'stream-abort';
  readonly xid: number;
  readonly subXid: number;
  readonly abort?: { readonly lsn: Lsn; readonly timeUs: bigint } | undefined;
}

export interface BeginPrepareMessage {
  readonly kind: 'begin-prepare';
  readonly prepareLsn: Lsn;
  readonly endLsn: Lsn;
  readonly prepareTimeUs: bigint;
  readonly xid: number;
  readonly gid: string;
}

/** `stream-prepare` ends a streamed transaction, `prepare` one that came in a piece after Begin Prepare. */
export interface PrepareMessage {
  readonly kind: 'prepare' | 'stream-prepare';
  readonly prepareLsn: Lsn;
  readonly endLsn: Lsn;
  readonly prepareTimeUs: bigint;
  readonly xid: number;
  readonly gid: string;
}

export interface CommitPreparedMessage {
  readonly kind: 'commit-prepared';
  readonly commitLsn: Lsn;
  readonly endLsn: Lsn;
  readonly commitTimeUs: bigint;
  readonly xid: number;
  readonly gid: string;
}

export interface RollbackPreparedMessage {
  readonly kind: 'rollback-prepared';
  readonly prepareEndLsn: Lsn;
  readonly rollbackEndLsn: Lsn;
  readonly prepareTimeUs: bigint;
  readonly rollbackTimeUs: bigint;
  readonly xid: number;
  readonly gid: string;
}
