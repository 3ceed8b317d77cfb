/**
 * What the engine and connectors report, without knowing who collects it. Instruments are made once, at construction,
 * and are cheap to move; labels are sink and table names at most (never keys or positions).
 */
export interface Metrics {
  counter(name: string, help: string, labels?: Labels): Counter;
  gauge(name: string, help: string, labels?: Labels): Gauge;
  histogram(name: string, help: string, buckets: readonly number[], labels?: Labels): Histogram;
}

export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  add(value: number): void;
}

export interface Gauge {
  set(value: number): void;
}

export interface Histogram {
  observe(value: number): void;
}

const ignore = (): void => {};

/** For tests and tools that collect nothing. */
export const noMetrics: Metrics = {
  counter: () => ({ add: ignore }),
  gauge: () => ({ set: ignore }),
  histogram: () => ({ observe: ignore }),
};
