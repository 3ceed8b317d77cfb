import type { Clock } from '../../../src/clock.ts';
import { evaluateInboundLiveness } from './liveness.ts';

export interface InboundWatchdogOptions {
  readonly clock: Clock;
  readonly inboundTimeoutMs: number | undefined;
  readonly lastHeardMs: () => number;
  /** The silence is ours: see `InboundState`. */
  readonly readingHeld: () => boolean;
  readonly onLost: (silentMs: number) => void;
}

/** Notices a connection that exists for us only: the server is due to answer us, and nothing comes. */
export class InboundWatchdog {
  readonly #options: InboundWatchdogOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: InboundWatchdogOptions) {
    this.#options = options;
  }

  start(): void {
    const { inboundTimeoutMs } = this.#options;
    if (inboundTimeoutMs === undefined) return;
    this.#timer = setInterval(() => this.#look(), Math.max(10, inboundTimeoutMs / 8));
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { clock, inboundTimeoutMs, lastHeardMs, readingHeld, onLost } = this.#options;
    const sinceLastHeardMs = clock.monotonicMs() - lastHeardMs();
    const state = { sinceLastHeardMs, inboundTimeoutMs, readingHeld: readingHeld() };
    if (evaluateInboundLiveness(state) === 'alive') return;
    this.stop();
    onLost(sinceLastHeardMs);
  }
}
