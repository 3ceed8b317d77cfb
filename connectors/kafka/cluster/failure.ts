/**
 * What a failed request to Kafka means for us. Told apart by protocol error codes and error classes, never by message text.
 * https://kafka.apache.org/protocol#protocol_error_codes
 */
export type FailureKind =
  /** Broker, leader, coordinator or network is away for now; whether a write was applied is not known. */
  | 'unavailable'
  /** The transaction before this one is still being completed: the same request succeeds in a moment. */
  | 'busy'
  /** The producer's epoch is no longer the newest: another instance, or the broker timed the transaction out. */
  | 'fenced'
  /** The broker no longer knows this producer or its sequence numbers: begin a new producer session. */
  | 'session'
  /** The batch is larger than the topic or the broker takes. */
  | 'too-large'
  /** A record of the batch is not acceptable (key missing in a compacted topic, timestamp out of range). */
  | 'record'
  /** An ACL is missing. */
  | 'forbidden'
  /** Wrong password, mechanism or certificate. */
  | 'unauthenticated'
  /** A topic or partition does not exist, or not yet on the broker asked. */
  | 'missing'
  /** The cluster refuses what is asked for, whoever asks. */
  | 'refused'
  /** Neither Kafka nor the network said so: a defect. */
  | 'defect';

/** Names of Kafka's protocol errors. Retriable ones that are not listed are `unavailable`, the others `refused`. */
const KIND_OF: Readonly<Record<string, FailureKind>> = {
  CONCURRENT_TRANSACTIONS: 'busy',
  INVALID_PRODUCER_EPOCH: 'fenced',
  PRODUCER_FENCED: 'fenced',
  OUT_OF_ORDER_SEQUENCE_NUMBER: 'session',
  DUPLICATE_SEQUENCE_NUMBER: 'session',
  UNKNOWN_PRODUCER_ID: 'session',
  INVALID_PRODUCER_ID_MAPPING: 'session',
  INVALID_TXN_STATE: 'session',
  TRANSACTION_ABORTABLE: 'session',
  TRANSACTION_COORDINATOR_FENCED: 'unavailable',
  BROKER_NOT_AVAILABLE: 'unavailable',
  REASSIGNMENT_IN_PROGRESS: 'unavailable',
  UNKNOWN_SERVER_ERROR: 'unavailable',
  OPERATION_NOT_ATTEMPTED: 'unavailable',
  LOG_DIR_NOT_FOUND: 'unavailable',
  MESSAGE_TOO_LARGE: 'too-large',
  RECORD_LIST_TOO_LARGE: 'too-large',
  INVALID_RECORD: 'record',
  INVALID_TIMESTAMP: 'record',
  TOPIC_AUTHORIZATION_FAILED: 'forbidden',
  GROUP_AUTHORIZATION_FAILED: 'forbidden',
  CLUSTER_AUTHORIZATION_FAILED: 'forbidden',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'forbidden',
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: 'forbidden',
  SASL_AUTHENTICATION_FAILED: 'unauthenticated',
  UNSUPPORTED_SASL_MECHANISM: 'unauthenticated',
  ILLEGAL_SASL_STATE: 'unauthenticated',
  SECURITY_DISABLED: 'refused',
  UNKNOWN_TOPIC_OR_PARTITION: 'missing',
};

export function kindOfProtocolError(name: string, retriable: boolean): FailureKind {
  return KIND_OF[name] ?? (retriable ? 'unavailable' : 'refused');
}

export interface KafkaFailureOptions {
  readonly kind: FailureKind;
  /** The protocol error's name (`MESSAGE_TOO_LARGE`), or the network's code (`ECONNREFUSED`). */
  readonly reason: string;
  /** The topic that is concerned, when the answer was about one. */
  readonly topic?: string | undefined;
  readonly cause?: unknown;
}

/** The only kind of error that leaves a client library's own folder. Its message is the reason: texts of others may hold anything. */
export class KafkaFailure extends Error {
  override readonly name = 'KafkaFailure';
  readonly kind: FailureKind;
  readonly reason: string;
  readonly topic: string | undefined;

  constructor(options: KafkaFailureOptions) {
    super(options.reason, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = options.kind;
    this.reason = options.reason;
    this.topic = options.topic;
  }
}

export function isFailure(error: unknown, ...kinds: readonly FailureKind[]): error is KafkaFailure {
  return error instanceof KafkaFailure && (kinds.length === 0 || kinds.includes(error.kind));
}
