import type { SinkContext } from '../../src/delivery/sink.ts';
import type { Logger } from '../../src/observe/logger.ts';
import type { Counter, Gauge } from '../../src/observe/metrics.ts';

/** What only this sink has to tell. */
export class ElasticsearchMeter {
  readonly #sink: string;
  readonly #logger: Logger;
  readonly #conflicts: Counter;
  readonly #throttled: Counter;
  readonly #completed: Counter;
  readonly #truncated: Counter;
  readonly #blocked: Gauge;
  #isBlocked = false;

  constructor({ metrics, name, logger }: SinkContext) {
    const labels = { sink: name };
    this.#sink = name;
    this.#logger = logger;
    this.#conflicts = metrics.counter(
      'tailrace_elasticsearch_conflicts_total',
      'Operations that met the same or a newer version of their document: applied before, or superseded.',
      labels,
    );
    this.#throttled = metrics.counter(
      'tailrace_elasticsearch_throttled_total',
      'Bulk requests that the cluster was too busy for, as a whole or in part.',
      labels,
    );
    this.#completed = metrics.counter(
      'tailrace_elasticsearch_completed_rows_total',
      'Updated rows whose large unchanged values were taken from the index.',
      labels,
    );
    this.#truncated = metrics.counter(
      'tailrace_elasticsearch_truncated_documents_total',
      'Documents deleted because of a TRUNCATE.',
      labels,
    );
    this.#blocked = metrics.gauge(
      'tailrace_elasticsearch_blocked',
      '1 while an index is blocked for writing, as by a disk that is nearly full.',
      labels,
    );
  }

  conflicts(count: number): void {
    this.#conflicts.add(count);
  }

  throttled(): void {
    this.#throttled.add(1);
  }

  completed(rows: number): void {
    this.#completed.add(rows);
  }

  truncated(documents: number): void {
    this.#truncated.add(documents);
  }

  /** Said once, loudly: an operator has to act. */
  blocked(indices: readonly string[]): void {
    if (this.#isBlocked) return;
    this.#isBlocked = true;
    this.#blocked.set(1);
    this.#logger.error(
      { sink: this.#sink, indices },
      'an index is blocked for writing, probably because a disk is nearly full; waiting for it',
    );
  }

  written(): void {
    if (!this.#isBlocked) return;
    this.#isBlocked = false;
    this.#blocked.set(0);
    this.#logger.info({ sink: this.#sink }, 'the index takes writes again');
  }
}
