/**
 * Why the socket is not read at the moment:
 * - `log`: the event log asks to wait (back-pressure);
 * - `look-up`: a relation's shape is being asked for, and what came behind it is being worked off;
 * - `pacing`: a few milliseconds, so that more gathers before the next read.
 */
export type HoldReason = 'log' | 'look-up' | 'pacing';

export interface Pausable {
  pause(): void;
  resume(): void;
}

/** The socket flows when nobody holds it. */
export class ReadGate {
  readonly #reasons = new Set<HoldReason>();
  readonly #onResumed: () => void;
  #socket: Pausable | undefined;

  /** `onResumed` is called when reading goes on after a hold other than pacing. */
  constructor(onResumed: () => void) {
    this.#onResumed = onResumed;
  }

  attach(socket: Pausable): void {
    this.#socket = socket;
    if (this.#reasons.size > 0) socket.pause();
  }

  hold(reason: HoldReason): void {
    if (this.#reasons.size === 0) this.#socket?.pause();
    this.#reasons.add(reason);
  }

  release(reason: HoldReason): void {
    if (!this.#reasons.delete(reason)) return;
    if (reason !== 'pacing') this.#onResumed();
    if (this.#reasons.size === 0) this.#socket?.resume();
  }

  releaseAll(): void {
    for (const reason of this.#reasons) this.release(reason);
  }

  get held(): boolean {
    return this.#reasons.size > 0;
  }

  /** Held for longer than moments: silence on the connection is then of our own making. */
  get stopped(): boolean {
    return this.#reasons.has('log') || this.#reasons.has('look-up');
  }
}
