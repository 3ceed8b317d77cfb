import type { Clock } from '../../../src/clock.ts';
import type { Lsn } from '../../../src/events/lsn.ts';
import { encodeStatus } from './frames.ts';
import { asksForReply, type LivenessTimings, statusDueMs } from './liveness.ts';

export interface StandbyFeedbackOptions {
  readonly timings: LivenessTimings;
  readonly clock: Clock;
  /** What may be told as flushed now; 0 until something is confirmed. */
  readonly confirmed: () => Lsn;
  /** Monotonic: when the server last said something. */
  readonly lastHeardMs: () => number;
  /** Puts one status message on the wire. */
  readonly send: (status: Buffer) => void;
}

/**
 * Our side of the conversation with the walsender: a timer of its own, so that neither a held read nor a slow sink silences us, and the server neither
 * ends the connection nor keeps WAL for longer than it has to.
 */
export class StandbyFeedback {
  readonly #options: StandbyFeedbackOptions;
  #sent: Lsn = 0n;
  #lastSentMs: number;
  #replyDue = false;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: StandbyFeedbackOptions) {
    this.#options = options;
    this.#lastSentMs = options.clock.monotonicMs();
  }

  /** The position of the last message. */
  get sent(): Lsn {
    return this.#sent;
  }

  /** The first message goes out at once: it is the server's first sign of life from us. */
  start(): void {
    this.sendNow();
  }

  /** The server has asked for an answer. */
  reply(): void {
    this.#replyDue = true;
    this.#arm();
  }

  /** `confirmed()` may have moved. */
  moved(): void {
    this.#arm();
  }

  sendNow(): void {
    if (this.#stopped) return;
    const { clock, confirmed, lastHeardMs, send, timings } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#sent = confirmed();
    this.#lastSentMs = nowMs;
    this.#replyDue = false;
    const replyRequested = asksForReply(nowMs - lastHeardMs(), timings);
    send(encodeStatus({ confirmed: this.#sent, nowMs: clock.nowMs(), replyRequested }));
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #arm(): void {
    if (this.#stopped) return;
    const { clock, confirmed, timings } = this.#options;
    const dueMs = statusDueMs({
      lastSentMs: this.#lastSentMs,
      statusIntervalMs: timings.statusIntervalMs,
      moved: confirmed() !== this.#sent,
      replyDue: this.#replyDue,
    });
    const delayMs = dueMs - clock.monotonicMs();
    clearTimeout(this.#timer);
    if (delayMs <= 0) {
      this.sendNow();
      return;
    }
    this.#timer = setTimeout(() => this.sendNow(), delayMs);
  }
}
