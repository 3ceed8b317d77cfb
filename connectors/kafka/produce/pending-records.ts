import { isFailure, type KafkaFailure } from '../cluster/failure.ts';
import type { Producer, SendFailure } from './producer.ts';
import type { PartitionRecords } from './record-window.ts';

export interface RefusedRecord {
  /** What the caller knows the record by. */
  readonly item: number;
  readonly topic: string;
  readonly bytes: number;
  readonly reason: string;
}

export interface PendingEvents {
  /** A whole gathering was acknowledged. */
  readonly acknowledged: (records: PartitionRecords) => void;
  /** A gathering of several records was too large for its topic. */
  readonly tooLarge: (topic: string, bytes: number) => void;
}

export const NO_EVENTS: PendingEvents = { acknowledged: () => {}, tooLarge: () => {} };

/**
 * The records of one window that are not acknowledged yet. A gathering that is refused for one of its records is divided until the culprit stands
 * alone; every other failure leaves the rest here, to be sent again as it is.
 */
export class PendingRecords {
  readonly refused: RefusedRecord[] = [];
  /** By partition, in order: only the first of each may be on its way. */
  #queues: PartitionRecords[][];
  readonly #events: PendingEvents;

  constructor(partitions: readonly PartitionRecords[], events: PendingEvents) {
    this.#queues = partitions.map((records) => [records]);
    this.#events = events;
  }

  /** Resolves when nothing is left. Rejects with a KafkaFailure; may then be called again. */
  async send(producer: Producer, signal: AbortSignal): Promise<void> {
    while (this.#queues.length > 0) {
      const heads = this.#queues.map((queue) => queue[0] as PartitionRecords);
      const outcomes = await producer.send(heads, signal);
      let failure: KafkaFailure | undefined;
      for (const [i, queue] of this.#queues.entries()) {
        const outcome = outcomes[i];
        if (outcome === undefined) this.#events.acknowledged(queue.shift() as PartitionRecords);
        else if (isFailure(outcome.failure, 'record', 'too-large')) this.#divide(queue, outcome);
        else failure = graver(failure, outcome.failure);
      }
      this.#queues = this.#queues.filter((queue) => queue.length > 0);
      if (failure !== undefined) throw failure;
    }
  }

  #divide(queue: PartitionRecords[], { failure, badRecords }: SendFailure): void {
    const records = queue.shift() as PartitionRecords;
    const bad = new Set(failure.kind === 'record' ? badRecords : []);
    if (bad.size > 0 || records.count === 1) {
      const culprits = bad.size > 0 ? bad : new Set([0]);
      for (const i of culprits) this.#refuse(records.slice(i, i + 1), failure);
      const others = records.without(culprits);
      if (others.count > 0) queue.unshift(others);
      return;
    }
    if (failure.kind === 'too-large') this.#events.tooLarge(records.topic, records.bytes);
    const half = records.count >> 1;
    queue.unshift(records.slice(0, half), records.slice(half));
  }

  #refuse(record: PartitionRecords, failure: KafkaFailure): void {
    const item = record.items()[0] as number;
    // Only an event can be put aside; without its position record a batch is worth nothing.
    if (item < 0) throw failure;
    const reason = failure.kind === 'too-large' ? 'RECORD_TOO_LARGE' : failure.reason;
    this.refused.push({ item, topic: record.topic, bytes: record.bytes, reason });
  }
}

/** Of several partitions' failures the one that decides what happens next. */
function graver(a: KafkaFailure | undefined, b: KafkaFailure): KafkaFailure {
  if (a === undefined) return b;
  const order = [
    'fenced',
    'session',
    'defect',
    'refused',
    'forbidden',
    'unauthenticated',
    'missing',
    'unavailable',
    'busy',
  ];
  return order.indexOf(b.kind) < order.indexOf(a.kind) ? b : a;
}
