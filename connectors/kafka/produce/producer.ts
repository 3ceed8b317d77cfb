import type { KafkaFailure } from '../cluster/failure.ts';
import type { PartitionRecords } from './record-window.ts';

/**
 * One producer session: one producer id of the cluster, its sequence numbers, and its transaction. Calls do not overlap. Methods reject with a
 * KafkaFailure; a transactional session is spoilt by any but `too-large`, `record` and `missing`: close it and open another, which
 * aborts what it left open.
 */
export interface Producer {
  /**
   * Connects and takes a producer id. A transactional one shuts out older instances, and resolves when their last transaction has ended.
   * https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging
   */
  open(signal: AbortSignal): Promise<void>;
  /** Transactional only. */
  begin(): void;
  /**
   * Sends each as one record batch, with acks from all in-sync replicas, and resolves with what became of each, in the same order. What is only
   * unavailable for a moment is tried again meanwhile. After `unavailable` the very same records may be given again in a later call: their sequence
   * numbers are the same then, and brokers drop what they already have.
   */
  send(batches: readonly PartitionRecords[], signal: AbortSignal): Promise<readonly SendOutcome[]>;
  /** A failure leaves open whether the transaction is committed. */
  commit(signal: AbortSignal): Promise<void>;
  abort(signal: AbortSignal): Promise<void>;
  /** At once, without waiting for the network. */
  close(): void;
}

/** Undefined: acknowledged. */
export type SendOutcome = SendFailure | undefined;

export interface SendFailure {
  readonly failure: KafkaFailure;
  /** The records at fault, by index, when the broker says so. */
  readonly badRecords: readonly number[];
}
