import { type FailureKind, KafkaFailure, kindOfProtocolError } from '../cluster/failure.ts';

/** Codes of OpenSSL and Node.js for a certificate that cannot be trusted or a peer that does not speak TLS. */
const TLS_CODE =
  /^(ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|EPROTO$|HOSTNAME_MISMATCH)/;

interface LibraryError {
  readonly name: string;
  readonly code?: unknown;
  readonly type?: unknown;
  readonly retriable?: unknown;
  readonly cause?: unknown;
}

/** Anything thrown by kafkajs or below it. Decided by class names and codes; the texts are kept out of messages. */
export function toFailure(thrown: unknown): KafkaFailure {
  if (thrown instanceof KafkaFailure) return thrown;
  const error = rootOf(thrown);
  return new KafkaFailure({ kind: kindOf(error), reason: reasonOf(error), cause: thrown });
}

/** kafkajs wraps what it gave up on; the innermost of its own errors says what happened. */
function rootOf(thrown: unknown): LibraryError {
  let error = thrown as LibraryError;
  for (let depth = 0; depth < 5; depth++) {
    const cause = error.cause as LibraryError | undefined;
    if (cause === undefined || cause === null || typeof cause.name !== 'string') break;
    error = cause;
  }
  return error;
}

function kindOf(error: LibraryError): FailureKind {
  if (typeof error.type === 'string') return kindOfProtocolError(error.type, error.retriable === true);
  if (typeof error.code === 'string' && TLS_CODE.test(error.code)) return 'unauthenticated';
  switch (error.name) {
    case 'KafkaJSSASLAuthenticationError':
      return 'unauthenticated';
    case 'KafkaJSConnectionError':
    case 'KafkaJSConnectionClosedError':
    case 'KafkaJSRequestTimeoutError':
    case 'KafkaJSLockTimeout':
      return 'unavailable';
    case 'AbortError':
      return 'unavailable';
    default:
      return typeof error.code === 'string' ? 'unavailable' : 'defect';
  }
}

function reasonOf(error: LibraryError): string {
  if (typeof error.type === 'string') return error.type;
  if (typeof error.code === 'string') return error.code;
  switch (error.name) {
    case 'KafkaJSSASLAuthenticationError':
      return 'SASL_AUTHENTICATION_FAILED';
    case 'KafkaJSConnectionClosedError':
      return 'connection closed';
    case 'KafkaJSRequestTimeoutError':
      return 'request timed out';
    case 'KafkaJSConnectionError':
      return 'connection failed';
    default:
      return error.name;
  }
}
