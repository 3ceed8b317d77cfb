/**
 * How to read while behind. The walsender does one send() per message; a reader that wakes up for each of them makes the server pay for the wake-ups
 * (6 to 8 microseconds a row instead of 3.5) and gets half the rate. Leaving the socket alone for some milliseconds lets many messages
 * gather in its buffer. At the live end that would only be latency, so there we never wait.
 */

/** Less than this in one turn of the event loop means that we wait for the server, not it for us. */
const FULL_READ_BYTES = 256 * 1024;
/** Younger than this counts as the live end: commits reach us within a few milliseconds there. */
const LIVE_LAG_MS = 100;
/** A pause that gathered less than this was not worth it: a slow stream, or one that is late for another reason. */
const WORTHWHILE_BYTES = 64 * 1024;
/** How long not to try again after a pause that was not worth it. */
const RETRY_MS = 1000;

export interface ReadPacingOptions {
  /** Long enough to halve the server's cost, short enough for what gathers to fit into a socket buffer. */
  readonly pauseMs: number;
}

export const READ_PACING: ReadPacingOptions = { pauseMs: 8 };

export interface ReadTurn {
  readonly nowMs: number;
  /** Received in this turn of the event loop. */
  readonly bytes: number;
  /** Age of the newest transaction when the server sent it, by the server's own clock. */
  readonly lagMs: number;
}

/** Decides after each turn in which something was read. Holds the little it has to remember, does nothing by itself. */
export class ReadPacing {
  readonly #options: ReadPacingOptions;
  #paused = false;
  #notBeforeMs = 0;

  constructor(options: ReadPacingOptions = READ_PACING) {
    this.#options = options;
  }

  /** Milliseconds to leave the socket alone; 0 = read on. */
  pauseAfter({ nowMs, bytes, lagMs }: ReadTurn): number {
    if (this.#paused && bytes < WORTHWHILE_BYTES) this.#notBeforeMs = nowMs + RETRY_MS;
    this.#paused = lagMs >= LIVE_LAG_MS && bytes < FULL_READ_BYTES && nowMs >= this.#notBeforeMs;
    return this.#paused ? this.#options.pauseMs : 0;
  }
}
