import type { SinkEntry } from '../config/pipeline-config.ts';
import type { Lane } from '../delivery/lane.ts';
import type { TailraceError } from '../errors/tailrace-error.ts';
import type { EventLog } from '../event-log/contract.ts';
import { formatLsn } from '../events/lsn.ts';
import { formatPosition } from '../events/position.ts';
import type { PipelineStatus, SinkStatus, StatusError } from '../observe/status.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import type { Source, SourceFacts } from '../pipeline/source.ts';
import { VERSION } from '../version.ts';

export interface StatusInput {
  readonly pipeline: Pipeline;
  readonly name: string;
  readonly slot: string;
  readonly source: Source;
  readonly log: EventLog;
  readonly logDir: string;
  readonly entries: readonly SinkEntry[];
  readonly facts: SourceFacts | undefined;
  readonly startedAt: Date;
  readonly nowMs: number;
  readonly monotonicMs: number;
}

export function describeStatus(input: StatusInput): PipelineStatus {
  const { pipeline, source, log, facts } = input;
  const { progress } = source;
  const logFacts = log.facts;
  const slot = facts?.slot;
  return {
    pipeline: input.name,
    version: VERSION,
    state: pipeline.state,
    started_at: input.startedAt.toISOString(),
    error: errorOf(pipeline.lastError ?? log.failed),
    source: {
      database: facts?.database,
      server_version: facts?.serverVersion,
      timeline: facts?.timeline,
      slot: input.slot,
      connected: progress.connected,
      wal_end: formatLsn(progress.walEnd),
      received: formatLsn(progress.received),
      confirmed: formatLsn(pipeline.confirmed),
      lag_bytes: bytesBetween(progress.received, progress.walEnd),
      retained_bytes: slot?.retainedBytes,
      safe_wal_size_bytes: slot?.safeWalSizeBytes,
      wal_status: slot?.walStatus,
      server_keeps_all: pipeline.serverKeepsAll,
    },
    event_log: {
      dir: input.logDir,
      appended: formatLsn(log.appended),
      synced: formatLsn(log.synced),
      begins_after: formatLsn(logFacts.startLsn),
      bytes: logFacts.bytes,
      segments: logFacts.segments,
      full: log.full,
      error: errorOf(log.failed),
    },
    sinks: input.entries.map((entry) =>
      describeSink(
        entry,
        pipeline.lanes.find((lane) => lane.name === entry.name),
        input,
      ),
    ),
  };
}

function describeSink(entry: SinkEntry, lane: Lane | undefined, input: StatusInput): SinkStatus {
  const { log } = input;
  // A sink without a position of its own stands where its lane does.
  const held = lane?.positioned === false ? lane.reached : lane?.durable;
  const reached = lane?.reached?.endLsn ?? log.facts.startLsn;
  const lagBytes = bytesBetween(reached, log.appended);
  return {
    name: entry.name,
    type: entry.connector.type,
    state: lane?.state ?? 'opening',
    position: held === undefined ? undefined : formatPosition(held.position),
    delivered: formatLsn(held?.endLsn ?? 0n),
    lag_bytes: lagBytes,
    lag_seconds: lagBytes === 0 ? 0 : waitingSeconds(lane, input),
    stalled_seconds: lane?.oldestWaitingUs === undefined ? 0 : (input.monotonicMs - lane.movedAtMs) / 1000,
    events: lane?.meter.events ?? 0,
    records: lane?.meter.items ?? 0,
    events_per_second: Math.round(lane?.meter.eventsPerSecond ?? 0),
    retries: lane?.meter.retries ?? 0,
    dead_letters: lane?.meter.letters ?? 0,
    error: errorOf(lane?.error),
  };
}

/** Age of the oldest change the sink waits for; of a sink that has not begun to read, how long it has been waited for. */
function waitingSeconds(lane: Lane | undefined, { startedAt, nowMs }: StatusInput): number {
  const sinceUs = lane?.oldestWaitingUs;
  if (sinceUs !== undefined) return secondsBetween(Number(sinceUs / 1000n), nowMs);
  return lane === undefined || lane.reading ? 0 : secondsBetween(startedAt.getTime(), nowMs);
}

function secondsBetween(fromMs: number, toMs: number): number {
  return Math.max(0, (toMs - fromMs) / 1000);
}

function bytesBetween(from: bigint, to: bigint): number {
  return to > from ? Number(to - from) : 0;
}

function errorOf(error: TailraceError | undefined): StatusError | undefined {
  return error === undefined ? undefined : { code: error.code, message: error.message, fix: error.fix };
}
