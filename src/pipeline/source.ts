import type { Finding } from '../delivery/sink.ts';
import type { LogWriter } from '../event-log/contract.ts';
import type { Lsn } from '../events/lsn.ts';
import type { RelationDefinition } from '../events/relation.ts';

/** What the server says of itself, its slot and its history: one half of the input of decideStart(). */
export interface SourceFacts {
  /** From IDENTIFY_SYSTEM, decimal text. https://www.postgresql.org/docs/current/protocol-replication.html */
  readonly systemIdentifier: string;
  readonly databaseOid: number;
  readonly database: string;
  readonly timeline: number;
  /** Where each older timeline ended, from TIMELINE_HISTORY; empty on timeline 1. */
  readonly history: readonly { readonly timeline: number; readonly switchLsn: Lsn }[];
  /** Current end of the WAL (flushed). */
  readonly walEnd: Lsn;
  /** 180004 for 18.4. */
  readonly serverVersion: number;
  /** 0 = off. */
  readonly walSenderTimeoutMs: number;
  /** max_slot_wal_keep_size in bytes; undefined = unlimited (-1). */
  readonly maxSlotWalKeepBytes?: number | undefined;
  readonly slot?: SlotFacts | undefined;
}

/** A row of pg_replication_slots. https://www.postgresql.org/docs/current/view-pg-replication-slots.html */
export interface SlotFacts {
  readonly name: string;
  /** Undefined for a physical slot. */
  readonly plugin?: string | undefined;
  readonly database?: string | undefined;
  readonly confirmedFlushLsn?: Lsn | undefined;
  readonly restartLsn?: Lsn | undefined;
  readonly active: boolean;
  readonly activePid?: number | undefined;
  /** reserved | extended | unreserved | lost */
  readonly walStatus?: string | undefined;
  /** From version 16 conflict, from 17 invalidation_reason. */
  readonly invalidationReason?: string | undefined;
  readonly safeWalSizeBytes?: number | undefined;
  /** WAL the slot keeps: end of WAL - restart_lsn. */
  readonly retainedBytes?: number | undefined;
}

/** A table that the configuration's names and patterns select. */
export interface SourceTable {
  readonly definition: RelationDefinition;
  /** pg_class.reltuples, an estimate; -1 = never analysed. */
  readonly estimatedRows: number;
}

/** Why a stream ended without an error. */
export type SourceEnd = 'aborted' | 'server-closed';

export interface StreamOptions {
  /** Where to start: the log's end. The server would silently go on from the slot's own position were that later. */
  readonly from: Lsn;
  readonly into: LogWriter;
  /** Aborting ends the stream after a last status message. */
  readonly signal: AbortSignal;
}

/** What the source tells while it streams; for status and metrics. */
export interface SourceProgress {
  /** End of the server's WAL as last heard. */
  readonly walEnd: Lsn;
  /** The newest position received. */
  readonly received: Lsn;
  /** The last position told to the server as flushed. */
  readonly confirmed: Lsn;
  readonly connected: boolean;
  /** Monotonic clock, ms: when the last byte arrived. */
  readonly lastHeardMs: number;
}

export interface Source {
  /** Reads, changes nothing. */
  inspect(signal: AbortSignal): Promise<SourceFacts>;
  /** Tables matching the configuration, with their shapes. Throws E_TABLE_MISSING for an exact name that does not exist. */
  tables(signal: AbortSignal): Promise<readonly SourceTable[]>;
  /** Publication and replica identity made as configured, or only verified (`manage: false`: throws with the SQL). Before createSlot(). */
  prepare(signal: AbortSignal): Promise<void>;
  /** Returns the slot's consistent point. Bounded: waiting for old transactions ends with an error that names their pids. */
  createSlot(signal: AbortSignal): Promise<Lsn>;
  /** One attempt = one connection. Retrying is the pipeline's. Rejects with a TailraceError. */
  stream(options: StreamOptions): Promise<SourceEnd>;
  /** Everything below `endLsn` may be forgotten by the server. Exact, monotone; sent by the source's own timer. */
  confirm(endLsn: Lsn): void;
  readonly progress: SourceProgress;
  /** Findings of `tailrace check`: connection, privileges, settings, publication, slot, replica identities. */
  check(signal: AbortSignal): AsyncIterable<Finding>;
  close(): Promise<void>;
}
