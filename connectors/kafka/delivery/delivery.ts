import type { Clock } from '../../../src/clock.ts';
import type { SinkBatch, WriteResult } from '../../../src/delivery/sink.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { Checkpoint } from '../../../src/events/position.ts';
import { comparePositions } from '../../../src/events/position.ts';
import type { Logger } from '../../../src/observe/logger.ts';
import type { KafkaMeter } from '../kafka-meter.ts';
import type { KafkaRoute } from '../kafka-route.ts';
import type { BatchSender } from '../produce/batch-sender.ts';
import type { Producer } from '../produce/producer.ts';
import type { Topics } from '../topics/topics.ts';
import type { FailureTranslator } from '../translate.ts';
import type { Positions } from './positions.ts';

/** How a sink's batches and its position get into Kafka. Errors are as for `Sink`. */
export interface Delivery {
  open(signal: AbortSignal): Promise<Checkpoint | undefined>;
  write(batch: SinkBatch<KafkaRoute>, signal: AbortSignal): Promise<WriteResult>;
  flush(signal: AbortSignal): Promise<Checkpoint | undefined>;
  close(): Promise<void>;
}

export interface DeliveryParts {
  readonly newProducer: () => Producer;
  readonly sender: BatchSender;
  readonly positions: Positions;
  readonly topics: Topics;
  readonly translator: FailureTranslator;
  readonly meter: KafkaMeter;
  readonly clock: Clock;
  readonly logger: Logger;
  /** `source` of our own checkpoints. */
  readonly source: string;
  readonly sink: string;
  readonly version: string;
}

/** Throws E_SINK_FOREIGN for a position that counts in another database, or from another beginning. */
export function refuseForeign(
  stored: Checkpoint | undefined,
  { source, sink, positions }: Pick<DeliveryParts, 'source' | 'sink' | 'positions'>,
): void {
  if (stored === undefined || stored.source === source) return;
  throw new TailraceError({
    code: 'E_SINK_FOREIGN',
    message: `Sink ${sink} has a position in ${positions.target.topic} that belongs to another source: ${stored.source}, and this pipeline reads ${source}.`,
    fix:
      'If another database is meant to feed the same topics from now on, give the sink or the pipeline another name: it then has a position of its own, ' +
      'and what is in the topics stays as it is.',
  });
}

/** Whether a holder at `held` has everything up to `to`. */
export function covers(held: Checkpoint | undefined, to: Checkpoint): boolean {
  return held !== undefined && comparePositions(held.position, to.position) >= 0 && held.endLsn >= to.endLsn;
}
