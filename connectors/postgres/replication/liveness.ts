/** Longest pause between two status messages, also where the server does not insist on any. */
const MAX_STATUS_INTERVAL_MS = 10_000;
/** A moved position is told at most this often. */
const CONFIRM_INTERVAL_MS = 1000;
/** Closest spacing of answers to keepalives: a server that is shutting down asks again after every answer. */
const REPLY_SPACING_MS = 10;

export interface LivenessTimings {
  /** A status message goes out at least this often. */
  readonly statusIntervalMs: number;
  /** Silence of the server after which the connection counts as lost; undefined = never. */
  readonly inboundTimeoutMs: number | undefined;
}

/**
 * `wal_sender_timeout` is how long the server waits for a word from us; 0 = for ever.
 * https://www.postgresql.org/docs/current/runtime-config-replication.html#GUC-WAL-SENDER-TIMEOUT
 *
 * A third leaves room for two lost messages. One missed interval of the server's is jitter, two are a dead connection.
 */
export function computeLivenessTimings(walSenderTimeoutMs: number): LivenessTimings {
  if (walSenderTimeoutMs === 0) {
    return { statusIntervalMs: MAX_STATUS_INTERVAL_MS, inboundTimeoutMs: undefined };
  }
  return {
    statusIntervalMs: Math.max(1, Math.min(MAX_STATUS_INTERVAL_MS, Math.floor(walSenderTimeoutMs / 3))),
    inboundTimeoutMs: walSenderTimeoutMs * 2,
  };
}

export interface InboundState {
  readonly sinceLastHeardMs: number;
  readonly inboundTimeoutMs: number | undefined;
  /** We are not reading, or have not yet worked off what we read: the silence is ours. */
  readonly readingHeld: boolean;
}

export function evaluateInboundLiveness(state: InboundState): 'alive' | 'lost' {
  if (state.inboundTimeoutMs === undefined || state.readingHeld) return 'alive';
  return state.sinceLastHeardMs > state.inboundTimeoutMs ? 'lost' : 'alive';
}

export interface StatusState {
  readonly lastSentMs: number;
  readonly statusIntervalMs: number;
  /** The confirmed position has moved since the last message. */
  readonly moved: boolean;
  /** The server asked for an answer and has not had one. */
  readonly replyDue: boolean;
}

/** When the next status message is due, on the clock of `lastSentMs`. In the past = now. */
export function statusDueMs(state: StatusState): number {
  const { lastSentMs, statusIntervalMs } = state;
  if (state.replyDue) return lastSentMs + REPLY_SPACING_MS;
  return lastSentMs + (state.moved ? Math.min(CONFIRM_INTERVAL_MS, statusIntervalMs) : statusIntervalMs);
}

/**
 * Whether a status message asks the server for a keepalive. A server that hears from us often enough never speaks by itself while it is idle, so that its
 * silence would say nothing about the connection.
 */
export function asksForReply(sinceLastHeardMs: number, timings: LivenessTimings): boolean {
  return timings.inboundTimeoutMs !== undefined && sinceLastHeardMs >= timings.statusIntervalMs;
}
