import type { Clock } from '../../../src/clock.ts';
import type { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { type Lsn, parseLsn } from '../../../src/events/lsn.ts';
import type { SqlSession } from '../connection/sql-session.ts';
import { HEARTBEAT_PREFIX } from '../pgoutput/transaction-decoder.ts';
import { type PeriodicStatement, runSideStatements } from './side-statements.ts';
import type { SlotHolder } from './stream-errors.ts';

/** A logical walsender never says how far the server's WAL reaches, only how far it has sent itself. */
const WAL_END_INTERVAL_MS = 2000;

export interface ServerWatchOptions {
  readonly session: SqlSession;
  readonly slot: string;
  /** Undefined: no heartbeat. */
  readonly heartbeatIntervalMs?: number | undefined;
  readonly clock: Clock;
  readonly onFailed: (error: TailraceError) => void;
}

/** What has to be asked or written beside the stream, over an SQL connection. */
export class ServerWatch {
  readonly #options: ServerWatchOptions;
  #walEnd: Lsn = 0n;

  constructor(options: ServerWatchOptions) {
    this.#options = options;
  }

  /** End of the server's WAL as last asked for. */
  get walEnd(): Lsn {
    return this.#walEnd;
  }

  /** Until the signal aborts. Never rejects: the stream does without. */
  run(signal: AbortSignal): Promise<void> {
    const { clock, heartbeatIntervalMs, onFailed } = this.#options;
    const statements: PeriodicStatement[] = [
      { intervalMs: WAL_END_INTERVAL_MS, run: (aborted) => this.#askWalEnd(aborted) },
    ];
    if (heartbeatIntervalMs !== undefined) {
      statements.push({ intervalMs: heartbeatIntervalMs, run: (aborted) => this.#beat(aborted) });
    }
    return runSideStatements({ statements, clock, signal, onFailed });
  }

  /** Undefined: nobody holds the slot. What the role may not see of the holder is left out. */
  async slotHolder(signal: AbortSignal): Promise<SlotHolder | undefined> {
    const { session, slot } = this.#options;
    const [row] = await session.query<HolderRow>({
      sql: `SELECT s.active_pid AS pid, a.application_name AS application, pg_catalog.host(a.client_addr) AS address,
                   pg_catalog.date_trunc('second', a.backend_start)::text AS since
              FROM pg_catalog.pg_replication_slots s
              LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
             WHERE s.slot_name = $1 AND s.active_pid IS NOT NULL`,
      params: [slot],
      doing: `Looking for the holder of the replication slot ${slot}`,
      signal,
    });
    if (row === undefined) return undefined;
    return {
      pid: row.pid,
      applicationName: row.application ?? undefined,
      address: row.address ?? undefined,
      since: row.since ?? undefined,
    };
  }

  async #askWalEnd(signal: AbortSignal): Promise<void> {
    const [row] = await this.#options.session.query<{ lsn: string | null }>({
      sql: `SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                        ELSE pg_catalog.pg_current_wal_flush_lsn() END AS lsn`,
      doing: 'Asking for the end of the WAL',
      signal,
    });
    if (typeof row?.lsn === 'string') this.#walEnd = parseLsn(row.lsn);
  }

  /**
   * In a transaction: its commit is flushed at once, where a message outside of one would wait for the next commit of somebody else on an idle
   * server. Local: a standby that is down must not hold it up.
   */
  async #beat(signal: AbortSignal): Promise<void> {
    await this.#options.session.query({
      sql: `SET TRANSACTION READ WRITE;
            SET LOCAL synchronous_commit = 'local';
            SELECT pg_catalog.pg_logical_emit_message(true, '${HEARTBEAT_PREFIX}', '')`,
      doing: 'Writing the heartbeat',
      signal,
    });
  }
}

interface HolderRow {
  readonly pid: number;
  readonly application: string | null;
  readonly address: string | null;
  readonly since: string | null;
}
