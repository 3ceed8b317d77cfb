import type { Clock } from '../../../src/clock.ts';
import type { LogWriter } from '../../../src/event-log/contract.ts';
import type { Lsn } from '../../../src/events/lsn.ts';

/** Marks cost the log a frame and a sync: one in this time is enough while nothing else happens. */
const INTERVAL_MS = 1000;
/** WAL beyond the last mark that is worth one at once: the server could forget it. */
const URGENT_BYTES = 16n * 1024n * 1024n;
/** Even a server that insists (it is shutting down) gets no more than this. */
const INSISTENT_INTERVAL_MS = 50;

/**
 * Tells the log how far the server's WAL has been received where it held nothing for us, so that the slot moves on while only unpublished tables are
 * written. Only called with positions up to which everything has been received in order, and never inside a transaction.
 */
export class ProgressMarks {
  readonly #into: Pick<LogWriter, 'progress' | 'appended'>;
  readonly #clock: Clock;
  #pending: Lsn | undefined;
  #lastMs = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = Infinity;

  constructor(into: Pick<LogWriter, 'progress' | 'appended'>, clock: Clock) {
    this.#into = into;
    this.#clock = clock;
  }

  /** `insistent`: the server waits for our answer. */
  note(lsn: Lsn, insistent = false): void {
    if (lsn <= this.#into.appended) return;
    this.#pending = lsn;
    const dueMs = this.#dueMs(lsn, insistent);
    const nowMs = this.#clock.monotonicMs();
    if (dueMs <= nowMs) {
      this.flush();
      return;
    }
    if (dueMs >= this.#timerDueMs) return;
    clearTimeout(this.#timer);
    this.#timerDueMs = dueMs;
    this.#timer = setTimeout(() => this.flush(), dueMs - nowMs);
  }

  /** A transaction begins in the log, which takes no marks until it ends: its own end will say more. */
  drop(): void {
    if (this.#pending === undefined) return;
    this.#disarm();
    this.#pending = undefined;
  }

  flush(): void {
    this.#disarm();
    const lsn = this.#pending;
    this.#pending = undefined;
    if (lsn === undefined) return;
    this.#lastMs = this.#clock.monotonicMs();
    this.#into.progress(lsn);
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    this.#timerDueMs = Infinity;
  }

  #dueMs(lsn: Lsn, insistent: boolean): number {
    if (lsn - this.#into.appended >= URGENT_BYTES) return this.#lastMs + INSISTENT_INTERVAL_MS;
    return this.#lastMs + (insistent ? INSISTENT_INTERVAL_MS : INTERVAL_MS);
  }
}
