import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type * as contract from './metrics.ts';

/** Metrics in a registry of their own, in the Prometheus text format. */
export class PrometheusMetrics implements contract.Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();
  readonly #beforeScrape: (() => void)[] = [];

  constructor(options: { readonly process: boolean }) {
    if (options.process) collectDefaultMetrics({ register: this.#registry });
  }

  /** What is cheaper to read when asked than to keep up to date. */
  beforeScrape(refresh: () => void): void {
    this.#beforeScrape.push(refresh);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    for (const refresh of this.#beforeScrape) refresh();
    return this.#registry.metrics();
  }

  counter(name: string, help: string, labels: contract.Labels = {}): contract.Counter {
    const made = obtain(this.#counters, name, () => new Counter({ name, help, ...this.#common(labels) }));
    const child = made.labels(labels);
    // There from the first scrape on: increase() cannot see the step from nothing to one.
    child.inc(0);
    return { add: (value) => child.inc(value) };
  }

  gauge(name: string, help: string, labels: contract.Labels = {}): contract.Gauge {
    const made = obtain(this.#gauges, name, () => new Gauge({ name, help, ...this.#common(labels) }));
    const child = made.labels(labels);
    return { set: (value) => child.set(value) };
  }

  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labels: contract.Labels = {},
  ): contract.Histogram {
    const made = obtain(
      this.#histograms,
      name,
      () => new Histogram({ name, help, buckets: [...buckets], ...this.#common(labels) }),
    );
    made.zero(labels);
    const child = made.labels(labels);
    return { observe: (value) => child.observe(value) };
  }

  #common(labels: contract.Labels): { labelNames: string[]; registers: Registry[] } {
    return { labelNames: Object.keys(labels), registers: [this.#registry] };
  }
}

function obtain<T>(known: Map<string, T>, name: string, make: () => T): T {
  const found = known.get(name);
  if (found !== undefined) return found;
  const made = make();
  known.set(name, made);
  return made;
}
