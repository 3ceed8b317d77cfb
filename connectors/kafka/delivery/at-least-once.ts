import { randomUUID } from 'node:crypto';
import type { SinkBatch, WriteResult } from '../../../src/delivery/sink.ts';
import type { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { Checkpoint } from '../../../src/events/position.ts';
import { isFailure } from '../cluster/failure.ts';
import type { KafkaRoute } from '../kafka-route.ts';
import { NO_EVENTS, PendingRecords } from '../produce/pending-records.ts';
import type { Producer } from '../produce/producer.ts';
import { RecordWindow } from '../produce/record-window.ts';
import { covers, type Delivery, type DeliveryParts, refuseForeign } from './delivery.ts';

/**
 * Idempotent sends; the position follows when they are acknowledged. While the process lives nothing is stored twice, because a send with unknown
 * outcome is repeated with its own sequence numbers; after a crash what came after the last stored position comes again.
 */
export class AtLeastOnce implements Delivery {
  readonly #parts: DeliveryParts;
  #producer: Producer | undefined;
  #accepted: Checkpoint | undefined;
  #stored: Checkpoint | undefined;
  readonly #window = new RecordWindow(Number.MAX_SAFE_INTEGER);
  /** A position that may be stored or not: it goes before any other. */
  #unstored: { readonly pending: PendingRecords; readonly checkpoint: Checkpoint | undefined } | undefined;

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  async open(signal: AbortSignal): Promise<Checkpoint | undefined> {
    const { positions, topics, version, clock, translator } = this.#parts;
    await positions.prepare(signal);
    const id = randomUUID();
    try {
      const producer = await this.#open(signal);
      this.#window.reset();
      positions.addSession(this.#window, { id, version, nowMs: clock.nowMs() });
      await new PendingRecords(this.#window.partitions(), NO_EVENTS).send(producer, signal);
      const { checkpoint, partitions } = await positions.readBack(id, signal);
      translator.succeeded();
      topics.restore(partitions);
      refuseForeign(checkpoint, this.#parts);
      this.#stored = checkpoint;
      this.#accepted = checkpoint;
      return checkpoint;
    } catch (thrown) {
      throw this.#failed(thrown, 'read the stored position');
    }
  }

  async write(batch: SinkBatch<KafkaRoute>, signal: AbortSignal): Promise<WriteResult> {
    const { sender, translator } = this.#parts;
    try {
      if (sender.unfinished !== batch) {
        // Sequence numbers of what is given up cannot be used for something else.
        if (sender.unfinished !== undefined) this.#closeProducer();
        sender.begin(batch, 0);
      }
      const rejected = await sender.run(await this.#open(signal), {}, signal);
      translator.succeeded();
      this.#accepted = batch.to;
      return { accepted: batch.to, rejected };
    } catch (thrown) {
      throw this.#failed(thrown, 'write');
    }
  }

  async flush(signal: AbortSignal): Promise<Checkpoint | undefined> {
    try {
      for (;;) {
        if (this.#unstored !== undefined) {
          await this.#unstored.pending.send(await this.#open(signal), signal);
          this.#stored = this.#unstored.checkpoint;
          this.#unstored = undefined;
        }
        if (this.#accepted === undefined || covers(this.#stored, this.#accepted)) return this.#stored;
        this.#unstored = { pending: this.#positionRecords(this.#accepted), checkpoint: this.#accepted };
      }
    } catch (thrown) {
      throw this.#failed(thrown, 'store the position');
    }
  }

  async close(): Promise<void> {
    this.#closeProducer();
  }

  #positionRecords(checkpoint: Checkpoint): PendingRecords {
    const { positions, topics, clock } = this.#parts;
    this.#window.reset();
    positions.addState(this.#window, { checkpoint, topics, clock });
    return new PendingRecords(this.#window.partitions(), NO_EVENTS);
  }

  async #open(signal: AbortSignal): Promise<Producer> {
    if (this.#producer !== undefined) return this.#producer;
    const producer = this.#parts.newProducer();
    try {
      await producer.open(signal);
    } catch (thrown) {
      producer.close();
      throw thrown;
    }
    this.#parts.meter.sessionBegun();
    this.#producer = producer;
    return producer;
  }

  #failed(thrown: unknown, doing: string): TailraceError {
    // What the network did leaves the session as it is: its sequence numbers make the repetition harmless.
    if (!isFailure(thrown, 'unavailable', 'missing', 'busy', 'forbidden')) this.#closeProducer();
    return this.#parts.translator.translate(thrown, { doing });
  }

  #closeProducer(): void {
    this.#producer?.close();
    this.#producer = undefined;
  }
}
