import type { Rejection, SinkBatch } from '../../../src/delivery/sink.ts';
import type { KafkaRoute } from '../kafka-route.ts';
import { type PendingEvents, PendingRecords, type RefusedRecord } from './pending-records.ts';
import type { Producer } from './producer.ts';
import { type RecordPacker, tooLarge } from './record-packer.ts';
import { RecordWindow } from './record-window.ts';

export interface BatchHooks {
  /** The window with the batch's last records is about to be sent: something may be added. */
  readonly last?: ((window: RecordWindow) => void) | undefined;
  /** All items before `next` are acknowledged, but for the rejected ones; those from it on have not been sent. */
  readonly between?: ((next: number, rejected: number) => Promise<void>) | undefined;
}

export interface BatchSenderOptions {
  readonly packer: RecordPacker;
  readonly requestBytes: number;
  readonly events: PendingEvents;
}

/**
 * Sends one batch as a sequence of windows; the next is encoded while the one before it is on its way. After a failure the same batch can be taken
 * up again where it stood, with the very same records first.
 */
export class BatchSender {
  readonly #options: BatchSenderOptions;
  /** The one being sent and the one being filled. */
  #sending: RecordWindow;
  #filling: RecordWindow;
  #batch: SinkBatch<KafkaRoute> | undefined;
  #pending: PendingRecords | undefined;
  /** First item that is in no window yet sent. */
  #next = 0;
  #lastSent = false;
  #rejected: Rejection[] = [];

  constructor(options: BatchSenderOptions) {
    this.#options = options;
    this.#sending = new RecordWindow(options.requestBytes);
    this.#filling = new RecordWindow(options.requestBytes);
  }

  /** The batch that has not been sent to its end. */
  get unfinished(): SinkBatch<KafkaRoute> | undefined {
    return this.#batch;
  }

  begin(batch: SinkBatch<KafkaRoute>, from: number): void {
    this.#batch = batch;
    this.#pending = undefined;
    this.#next = from;
    this.#lastSent = false;
    this.#rejected = [];
  }

  forget(): void {
    this.#batch = undefined;
    this.#pending = undefined;
  }

  /** Resolves with what was refused when everything else is acknowledged. Rejects with a KafkaFailure or what a hook rejects with. */
  async run(producer: Producer, hooks: BatchHooks, signal: AbortSignal): Promise<readonly Rejection[]> {
    const batch = this.#batch;
    if (batch === undefined) return [];
    for (;;) {
      const sent = this.#pending?.send(producer, signal);
      // It is awaited below; encoding in between is synchronous, but a rejection must not count as unhandled.
      sent?.catch(() => {});
      const rejected: Rejection[] = [];
      const next = this.#fill(batch, rejected, hooks);
      await sent;
      this.#rejected.push(...(this.#pending?.refused ?? []).map(rejectionOf), ...rejected);
      this.#pending = undefined;
      if (this.#filling.count === 0) break;
      if (sent !== undefined) await hooks.between?.(this.#next, this.#rejected.length);
      this.#next = next;
      this.#lastSent = next === batch.count;
      [this.#sending, this.#filling] = [this.#filling, this.#sending];
      this.#pending = new PendingRecords(this.#sending.partitions(), this.#options.events);
    }
    this.#batch = undefined;
    return this.#rejected.sort((a, b) => a.item - b.item);
  }

  #fill(batch: SinkBatch<KafkaRoute>, rejected: Rejection[], hooks: BatchHooks): number {
    this.#filling.reset();
    if (this.#lastSent) return batch.count;
    const next = this.#options.packer.pack(batch, this.#next, this.#filling, rejected);
    if (next === batch.count) hooks.last?.(this.#filling);
    return next;
  }
}

function rejectionOf({ item, topic, bytes, reason }: RefusedRecord): Rejection {
  if (reason === 'RECORD_TOO_LARGE') return tooLarge(item, topic, bytes);
  return { item, reason, detail: `topic ${topic} refuses the record (${bytes} bytes)` };
}
