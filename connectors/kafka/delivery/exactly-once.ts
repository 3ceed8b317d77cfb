import { randomUUID } from 'node:crypto';
import type { SinkBatch, WriteResult } from '../../../src/delivery/sink.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { type Checkpoint, comparePositions, formatPosition } from '../../../src/events/position.ts';
import { isFailure } from '../cluster/failure.ts';
import type { KafkaRoute } from '../kafka-route.ts';
import { NO_EVENTS, PendingRecords } from '../produce/pending-records.ts';
import type { Producer } from '../produce/producer.ts';
import { RecordWindow } from '../produce/record-window.ts';
import { covers, type Delivery, type DeliveryParts, refuseForeign } from './delivery.ts';

const ABORT_PATIENCE_MS = 2000;

interface Session {
  readonly id: string;
  readonly producer: Producer;
}

/**
 * One Kafka transaction carries a batch of whole source transactions and the position they lead to. Whatever fails spoils the session; the next begins by
 * shutting out the one before it, so that nothing of that one can still arrive, and reads back what has been committed.
 *
 *   closed ──open()──▶ idle ──write()──▶ sending ──commit──▶ idle
 *     ▲                                    │ refused records
 *     │                                    ▼
 *     └──── any failure ◀───────────── uncommitted ──next write() or flush()──▶ idle
 */
export class ExactlyOnce implements Delivery {
  readonly #parts: DeliveryParts;
  readonly #cutAfterMs: number;
  readonly #window = new RecordWindow(Number.MAX_SAFE_INTEGER);
  #session: Session | undefined;
  /** The last session that ended as if another instance had taken over; until it is known whether one has. */
  #doubted: string | undefined;
  #stored: Checkpoint | undefined;
  /** Sent and not committed: some of its records were refused, and what is to become of them is decided before the rest becomes visible. */
  #uncommitted: Checkpoint | undefined;

  /** `transactionTimeoutMs`: after half of it a transaction is ended, also inside a batch. */
  constructor(parts: DeliveryParts, options: { readonly transactionTimeoutMs: number }) {
    this.#parts = parts;
    this.#cutAfterMs = options.transactionTimeoutMs / 2;
  }

  async open(signal: AbortSignal): Promise<Checkpoint | undefined> {
    try {
      await this.#open(signal);
      this.#parts.translator.succeeded();
      return this.#stored;
    } catch (thrown) {
      throw await this.#spoil(thrown, 'begin a transactional session and read the stored position', signal);
    }
  }

  async write(batch: SinkBatch<KafkaRoute>, signal: AbortSignal): Promise<WriteResult> {
    if (this.#uncommitted !== undefined) await this.#commitAccepted(signal);
    try {
      const { producer } = this.#session ?? (await this.#open(signal));
      // The commit's answer was lost, and reading back has found it.
      if (covers(this.#stored, batch.to)) return { accepted: batch.to, durable: batch.to, rejected: [] };
      const result = await this.#send(producer, batch, signal);
      this.#parts.translator.succeeded();
      return result;
    } catch (thrown) {
      throw await this.#spoil(thrown, 'write a transaction', signal);
    }
  }

  async flush(signal: AbortSignal): Promise<Checkpoint | undefined> {
    if (this.#uncommitted !== undefined) await this.#commitAccepted(signal);
    return this.#stored;
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    if (session === undefined) return;
    // Consumers need not wait for the time-out. Every request has been answered: nothing can arrive after the end.
    if (this.#uncommitted !== undefined) {
      await session.producer.abort(AbortSignal.timeout(ABORT_PATIENCE_MS)).catch(() => {});
      this.#parts.meter.aborted();
    }
    session.producer.close();
  }

  async #open(signal: AbortSignal): Promise<Session> {
    const { positions, topics, version, clock, newProducer, meter, logger, sink } = this.#parts;
    await this.#refuseSuperseded(signal);
    await positions.prepare(signal);
    const session: Session = { id: randomUUID(), producer: newProducer() };
    try {
      const { producer, id } = session;
      await producer.open(signal);
      meter.sessionBegun();
      producer.begin();
      this.#window.reset();
      positions.addSession(this.#window, { id, version, nowMs: clock.nowMs() });
      await new PendingRecords(this.#window.partitions(), NO_EVENTS).send(producer, signal);
      await producer.commit(signal);
      const { checkpoint, partitions } = await positions.readBack(id, signal);
      refuseForeign(checkpoint, this.#parts);
      if (this.#stored !== undefined && !covers(checkpoint, this.#stored)) {
        logger.warn(
          { sink, stored: formatPosition(this.#stored.position), topic: positions.target.topic },
          'the stored position has gone back: the positions topic was deleted or emptied; going on from what was committed',
        );
      } else {
        this.#stored = checkpoint;
      }
      topics.restore(partitions);
    } catch (thrown) {
      session.producer.close();
      throw thrown;
    }
    this.#session = session;
    return session;
  }

  async #send(producer: Producer, batch: SinkBatch<KafkaRoute>, signal: AbortSignal): Promise<WriteResult> {
    const { sender, clock } = this.#parts;
    producer.begin();
    let sinceMs = clock.monotonicMs();
    sender.begin(batch, firstAfter(this.#stored, batch));
    const rejected = await sender.run(
      producer,
      {
        last: (window) => this.#addPosition(window, batch.to),
        between: async (next, refused) => {
          // The position may not pass a refused record before it is known what becomes of it.
          if (refused > 0 || clock.monotonicMs() - sinceMs < this.#cutAfterMs) return;
          const reached = checkpointBefore(batch, next, this.#stored);
          if (reached === undefined) return;
          await this.#cut(producer, reached, signal);
          sinceMs = clock.monotonicMs();
        },
      },
      signal,
    );
    if (rejected.length > 0) {
      this.#uncommitted = batch.to;
      return { accepted: batch.to, rejected };
    }
    await this.#commit(producer, batch.to, signal);
    return { accepted: batch.to, durable: batch.to, rejected };
  }

  /** A batch that takes too long for one transaction becomes several. */
  async #cut(producer: Producer, reached: Checkpoint, signal: AbortSignal): Promise<void> {
    this.#window.reset();
    this.#addPosition(this.#window, reached);
    await new PendingRecords(this.#window.partitions(), NO_EVENTS).send(producer, signal);
    await this.#commit(producer, reached, signal);
    producer.begin();
  }

  async #commit(producer: Producer, to: Checkpoint, signal: AbortSignal): Promise<void> {
    await producer.commit(signal);
    this.#stored = to;
    this.#parts.meter.committed();
  }

  async #commitAccepted(signal: AbortSignal): Promise<void> {
    const to = this.#uncommitted as Checkpoint;
    const session = this.#session;
    this.#uncommitted = undefined;
    try {
      if (session !== undefined) await this.#commit(session.producer, to, signal);
    } catch (thrown) {
      const error = await this.#spoil(thrown, 'commit a transaction of which records were refused', signal);
      if (error.code === 'E_FENCED') throw error;
      // The lane has given the batch away: only reading the log again from the stored position brings it back.
      throw new TailraceError({
        code: error.code,
        message: error.message,
        fix: 'Start again: delivery goes on from the stored position, and nothing is lost.',
        cause: error,
      });
    }
  }

  #addPosition(window: RecordWindow, checkpoint: Checkpoint): void {
    const { positions, topics, clock } = this.#parts;
    positions.addState(window, { checkpoint, topics, clock });
  }

  async #spoil(thrown: unknown, doing: string, signal: AbortSignal): Promise<TailraceError> {
    const { translator, sender, meter, positions } = this.#parts;
    const session = this.#session;
    if (session !== undefined) {
      session.producer.close();
      this.#session = undefined;
      sender.forget();
      meter.aborted();
      positions.forgetTopics();
      if (isFailure(thrown, 'fenced')) {
        this.#doubted = session.id;
        try {
          await this.#refuseSuperseded(signal);
        } catch (found) {
          return translator.translate(found, { doing: 'read who has taken over' });
        }
      }
    }
    return translator.translate(thrown, { doing });
  }

  /**
   * The brokers fence a producer whose transaction has timed out just as one whose place another has taken. Who opened last tells which it
   * was: without looking, two instances would fence each other for ever.
   */
  async #refuseSuperseded(signal: AbortSignal): Promise<void> {
    if (this.#doubted === undefined) return;
    const { positions, sink } = this.#parts;
    const latest = await positions.latestSession(signal);
    if (latest !== undefined && latest !== this.#doubted) {
      throw new TailraceError({
        code: 'E_FENCED',
        message: `Another instance has taken over sink ${sink}: it uses the same transactional id, and opened after this one.`,
        fix: 'Run one instance of a pipeline; a second pipeline needs another name.',
      });
    }
    this.#doubted = undefined;
  }
}

/** Items that an earlier transaction of the same batch has committed are not sent again. */
function firstAfter(stored: Checkpoint | undefined, batch: SinkBatch<KafkaRoute>): number {
  if (stored === undefined) return 0;
  let from = 0;
  while (from < batch.count && comparePositions(batch.item(from).event.position, stored.position) <= 0)
    from++;
  return from;
}

/**
 * What a holder of the items before `next` holds; undefined where no cut is possible, inside the items of one event. The end LSN is that of the last
 * transaction that is surely complete.
 */
function checkpointBefore(
  batch: SinkBatch<KafkaRoute>,
  next: number,
  stored: Checkpoint | undefined,
): Checkpoint | undefined {
  const { source } = batch.to;
  const following = batch.item(next).event.position;
  const last = batch.item(next - 1).event;
  const { position, transaction } = last;
  if (comparePositions(position, following) === 0) return undefined;
  if (following.commitLsn !== position.commitLsn) {
    return {
      // A message outside a transaction is its own, at 0.
      position:
        position.seq === 0 ? position : { commitLsn: position.commitLsn, seq: transaction.eventCount },
      endLsn: transaction.endLsn,
      source,
    };
  }
  for (let i = next - 1; i >= 0; i--) {
    const before = batch.item(i).event;
    if (before.commitLsn !== position.commitLsn)
      return { position, endLsn: before.transaction.endLsn, source };
  }
  return { position, endLsn: stored?.endLsn ?? 0n, source };
}
