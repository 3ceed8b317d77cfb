import type { Logger } from '../observe/logger.ts';
import type { PipelineStatus } from '../observe/status.ts';

/** Part of max_slot_wal_keep_size that is left when the server's patience is worth a warning. */
const SAFE_WAL_FRACTION = 0.25;

interface Alarm {
  /** What it is about: told once, until it has been over. */
  readonly id: string;
  readonly message: string;
}

/** What an operator should know of before it stops something. Pure. */
export function alarmsOf(status: PipelineStatus): readonly Alarm[] {
  const { source, event_log: log, sinks } = status;
  const alarms: Alarm[] = [];
  const slowest = [...sinks].sort((a, b) => b.lag_bytes - a.lag_bytes)[0];
  const behind =
    slowest === undefined || slowest.lag_bytes === 0 ? '' : `; sink ${slowest.name} is furthest behind`;
  if (log.full) {
    alarms.push({
      id: 'event-log-full',
      message: `the event log is at its limit (event_log.limit) and takes nothing more until sinks have caught up${behind}`,
    });
  }
  const { safe_wal_size_bytes: safe, retained_bytes: retained } = source;
  if (safe !== undefined && safe < (safe + (retained ?? 0)) * SAFE_WAL_FRACTION) {
    alarms.push({
      id: 'safe-wal-size',
      message: `the server gives the slot ${source.slot} up after ${safe} more bytes of WAL (max_slot_wal_keep_size)${behind}`,
    });
  }
  if (!source.server_keeps_all) {
    alarms.push({
      id: 'wal-budget',
      message: `a sink is further behind than source.wal_budget: only the event log in ${log.dir} keeps its changes${behind}`,
    });
  }
  return alarms;
}

/** Logs each alarm when it begins, and when it is over. */
export class AlarmLog {
  readonly #logger: Logger;
  #raised = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  look(status: PipelineStatus): void {
    const alarms = alarmsOf(status);
    for (const { id, message } of alarms) {
      if (!this.#raised.has(id)) this.#logger.warn({ alarm: id }, message);
    }
    const now = new Set(alarms.map(({ id }) => id));
    for (const id of this.#raised) {
      if (!now.has(id)) this.#logger.info({ alarm: id }, `alarm ${id} is over`);
    }
    this.#raised = now;
  }
}
