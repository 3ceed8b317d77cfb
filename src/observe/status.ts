import type { ErrorCode } from '../errors/codes.ts';
import type { Metrics } from './metrics.ts';

/** What /status answers; LSNs as PostgreSQL prints them. Holds no row data and no secrets. */
export interface PipelineStatus {
  readonly pipeline: string;
  readonly version: string;
  readonly state: string;
  readonly started_at: string;
  readonly error?: StatusError | undefined;
  readonly source: {
    readonly database?: string | undefined;
    readonly server_version?: number | undefined;
    readonly timeline?: number | undefined;
    readonly slot: string;
    readonly connected: boolean;
    readonly wal_end: string;
    readonly received: string;
    readonly confirmed: string;
    /** End of the WAL - received. */
    readonly lag_bytes: number;
    /** WAL the slot keeps on the server. */
    readonly retained_bytes?: number | undefined;
    /** WAL that may still be written before the server gives the slot up. */
    readonly safe_wal_size_bytes?: number | undefined;
    readonly wal_status?: string | undefined;
    /** False while only the event log keeps what a slow sink has not got. */
    readonly server_keeps_all: boolean;
  };
  readonly event_log: {
    readonly dir: string;
    readonly appended: string;
    readonly synced: string;
    readonly begins_after: string;
    readonly bytes: number;
    readonly segments: number;
    readonly full: boolean;
    /** Why nothing is written at the moment, or any more. */
    readonly error?: StatusError | undefined;
  };
  readonly sinks: readonly SinkStatus[];
}

export interface SinkStatus {
  readonly name: string;
  readonly type: string;
  readonly state: string;
  /** Last event held for good; absent before the first. */
  readonly position?: string | undefined;
  readonly delivered: string;
  /** End of the log - what the sink has taken. */
  readonly lag_bytes: number;
  /** Age of the oldest change that is not delivered yet, from commit times; 0 when there is none. */
  readonly lag_seconds: number;
  /** How long nothing has moved although something waits; 0 when nothing waits. */
  readonly stalled_seconds: number;
  readonly events: number;
  readonly records: number;
  /** Over the last ten seconds. */
  readonly events_per_second: number;
  readonly retries: number;
  readonly dead_letters: number;
  readonly error?: StatusError | undefined;
}

export interface StatusError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly fix?: string | undefined;
}

/** Gauges that mirror the status; set before each scrape. */
export function statusMetrics(metrics: Metrics): (status: PipelineStatus) => void {
  const source = {
    connected: metrics.gauge('tailrace_source_connected', '1 while the replication connection is up.'),
    lag: metrics.gauge('tailrace_source_lag_bytes', 'WAL written by the server and not received yet.'),
    retained: metrics.gauge('tailrace_slot_retained_bytes', 'WAL the replication slot keeps on the server.'),
    safe: metrics.gauge(
      'tailrace_slot_safe_wal_size_bytes',
      'WAL that may still be written before the server invalidates the slot; absent limit: +Inf.',
    ),
    keepsAll: metrics.gauge(
      'tailrace_server_keeps_all',
      '0 while a sink is so far behind that only the event log keeps its changes.',
    ),
    logBytes: metrics.gauge('tailrace_event_log_bytes', 'Disk used by the event log.'),
    logFull: metrics.gauge('tailrace_event_log_full', '1 while the event log is at its limit.'),
  };
  return (status) => {
    source.connected.set(status.source.connected ? 1 : 0);
    source.lag.set(status.source.lag_bytes);
    source.retained.set(status.source.retained_bytes ?? 0);
    source.safe.set(status.source.safe_wal_size_bytes ?? Number.POSITIVE_INFINITY);
    source.keepsAll.set(status.source.server_keeps_all ? 1 : 0);
    source.logBytes.set(status.event_log.bytes);
    source.logFull.set(status.event_log.full ? 1 : 0);
    for (const sink of status.sinks) {
      const labels = { sink: sink.name };
      metrics
        .gauge('tailrace_sink_lag_bytes', 'Event log not delivered to the sink yet.', labels)
        .set(sink.lag_bytes);
      metrics
        .gauge('tailrace_sink_lag_seconds', 'Age of the oldest change the sink does not have.', labels)
        .set(sink.lag_seconds);
      metrics
        .gauge('tailrace_sink_up', '1 while the sink takes writes.', labels)
        .set(sink.state === 'streaming' ? 1 : 0);
    }
  };
}
