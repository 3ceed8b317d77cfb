import type { Clock } from '../clock.ts';
import type { Counter, Gauge, Histogram, Metrics } from '../observe/metrics.ts';
import { Rate } from '../observe/rate.ts';

const WRITE_SECONDS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10];

export interface LaneMeterOptions {
  readonly metrics: Metrics;
  readonly sink: string;
  readonly clock: Clock;
}

/** What a lane counts, for /status and /metrics. */
export class LaneMeter {
  events = 0;
  items = 0;
  retries = 0;
  letters = 0;
  readonly #rate: Rate;
  readonly #events: Counter;
  readonly #items: Counter;
  readonly #retries: Counter;
  readonly #letters: Gauge;
  readonly #writeSeconds: Histogram;

  constructor({ metrics, sink, clock }: LaneMeterOptions) {
    const labels = { sink };
    this.#rate = new Rate(clock);
    this.#events = metrics.counter(
      'tailrace_sink_events_total',
      'Events read from the log and taken by the sink.',
      labels,
    );
    this.#items = metrics.counter(
      'tailrace_sink_records_total',
      'Records or document operations written to the sink.',
      labels,
    );
    this.#retries = metrics.counter(
      'tailrace_sink_retries_total',
      'Operations on the sink that were tried again.',
      labels,
    );
    this.#letters = metrics.gauge(
      'tailrace_sink_dead_letters',
      'Events in the dead-letter log of the sink.',
      labels,
    );
    this.#writeSeconds = metrics.histogram(
      'tailrace_sink_write_seconds',
      'Time a batch takes to be written, retries included.',
      WRITE_SECONDS,
      labels,
    );
  }

  delivered(events: number, items: number): void {
    this.events += events;
    this.items += items;
    this.#events.add(events);
    this.#items.add(items);
    this.#rate.add(events);
  }

  /** Over the last ten seconds. */
  get eventsPerSecond(): number {
    return this.#rate.perSecond;
  }

  wrote(ms: number): void {
    this.#writeSeconds.observe(ms / 1000);
  }

  retried(): void {
    this.retries++;
    this.#retries.add(1);
  }

  /** How many letters there are now. */
  deadLetters(count: number): void {
    this.letters = count;
    this.#letters.set(count);
  }
}
