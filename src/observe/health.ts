import type { PipelineStatus } from './status.ts';

export type Health = { readonly ok: true } | { readonly ok: false; readonly reasons: readonly string[] };

/** How long a lane may have work and not move before it counts as stuck; a retrying one says why itself. One that catches up is ready. */
export const STUCK_AFTER_SECONDS = 120;

/** Ready = connected, nothing stopped, nothing refusing, nothing stuck. */
export function readiness(status: PipelineStatus): Health {
  const reasons: string[] = [];
  if (status.state !== 'streaming') reasons.push(`pipeline is ${status.state}`);
  else if (!status.source.connected) reasons.push('source is not connected');
  const { error } = status.event_log;
  if (error !== undefined) reasons.push(`event log cannot be written (${error.code})`);
  if (status.event_log.full) reasons.push('event log is at its limit');
  for (const sink of status.sinks) {
    if (sink.state !== 'streaming') {
      reasons.push(
        `sink ${sink.name} is ${sink.state}${sink.error === undefined ? '' : ` (${sink.error.code})`}`,
      );
    } else if (sink.stalled_seconds > STUCK_AFTER_SECONDS) {
      reasons.push(`sink ${sink.name} has not moved for ${Math.round(sink.stalled_seconds)} s`);
    }
  }
  return reasons.length === 0 ? { ok: true } : { ok: false, reasons };
}
