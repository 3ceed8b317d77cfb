import type { Counter, Metrics } from '../../src/observe/metrics.ts';

/** What a Kafka sink counts beyond what its lane does. */
export class KafkaMeter {
  readonly #records: Counter;
  readonly #bytes: Counter;
  readonly #batches: Counter;
  readonly #commits: Counter;
  readonly #aborts: Counter;
  readonly #sessions: Counter;

  constructor(metrics: Metrics, sink: string) {
    const labels = { sink };
    this.#records = metrics.counter(
      'tailrace_kafka_records_total',
      'Records acknowledged by all in-sync replicas.',
      labels,
    );
    this.#bytes = metrics.counter(
      'tailrace_kafka_record_bytes_total',
      'Bytes of those records before compression.',
      labels,
    );
    this.#batches = metrics.counter(
      'tailrace_kafka_record_batches_total',
      'Record batches they were sent in.',
      labels,
    );
    const transactions = 'Kafka transactions by their end.';
    this.#commits = metrics.counter('tailrace_kafka_transactions_total', transactions, {
      ...labels,
      end: 'committed',
    });
    this.#aborts = metrics.counter('tailrace_kafka_transactions_total', transactions, {
      ...labels,
      end: 'aborted',
    });
    this.#sessions = metrics.counter(
      'tailrace_kafka_producer_sessions_total',
      'Producer sessions begun: one at the start, another after every fault that ended one.',
      labels,
    );
  }

  acknowledged(records: number, bytes: number): void {
    this.#records.add(records);
    this.#bytes.add(bytes);
    this.#batches.add(1);
  }

  committed(): void {
    this.#commits.add(1);
  }

  aborted(): void {
    this.#aborts.add(1);
  }

  sessionBegun(): void {
    this.#sessions.add(1);
  }
}
