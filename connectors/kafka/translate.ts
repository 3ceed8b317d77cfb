import { asTailraceError, TailraceError } from '../../src/errors/tailrace-error.ts';
import { isFailure, type KafkaFailure } from './cluster/failure.ts';

/** ACLs and passwords take a moment to reach all brokers; what is still refused after that is an operator's to mend. */
const TRIES_BEFORE_FINAL = 5;

export type AclResource =
  | { readonly kind: 'topic'; readonly name: string; readonly operations: readonly string[] }
  | { readonly kind: 'transactional-id'; readonly name: string; readonly operations: readonly string[] }
  | { readonly kind: 'cluster'; readonly operations: readonly string[] };

export interface Attempt {
  /** Continues "Kafka: cannot ...". */
  readonly doing: string;
  /** What it needs to be allowed to, beyond writing. */
  readonly needs?: readonly AclResource[] | undefined;
}

export interface TranslatorOptions {
  readonly brokers: readonly string[];
  /** Kafka's name for who we are: `User:tailrace`; ANONYMOUS without authentication. */
  readonly principal: string;
  readonly transactionalId: string | undefined;
  readonly tls: boolean;
  readonly sasl: boolean;
}

/** Makes errors for people of Kafka's, and decides which may mend themselves. */
export class FailureTranslator {
  readonly #options: TranslatorOptions;
  #refusals = 0;
  #hasWorked = false;

  constructor(options: TranslatorOptions) {
    this.#options = options;
  }

  /** Something worked: refusals are counted anew. */
  succeeded(): void {
    this.#refusals = 0;
    this.#hasWorked = true;
  }

  /** What is not a KafkaFailure passes as it is. */
  translate(thrown: unknown, attempt: Attempt): TailraceError {
    if (!isFailure(thrown)) return asTailraceError(thrown);
    const what = `Kafka (${this.#options.brokers.join(', ')}): cannot ${attempt.doing}: ${thrown.reason}.`;
    switch (thrown.kind) {
      case 'unavailable':
      case 'busy':
      case 'missing':
      case 'session':
      case 'fenced':
        return new TailraceError({
          code: 'E_SINK_UNAVAILABLE',
          message: what,
          fix: this.#connectionHint(thrown),
          cause: thrown,
          retriable: true,
        });
      case 'forbidden':
        return this.#refusal(thrown, what, this.aclCommands(this.#needsOf(thrown, attempt)));
      case 'unauthenticated':
        return this.#refusal(thrown, what, this.#authenticationFix(thrown));
      case 'refused':
      case 'record':
      case 'too-large':
        return thrown.reason === 'INVALID_REPLICATION_FACTOR'
          ? this.#refusal(thrown, what, REFUSED_FIXES[thrown.reason])
          : new TailraceError({
              code: 'E_SINK_CONFIG',
              message: what,
              fix: REFUSED_FIXES[thrown.reason.split(' ')[0] ?? ''],
              cause: thrown,
            });
      case 'defect':
        return new TailraceError({ code: 'E_INTERNAL', message: what, cause: thrown.cause ?? thrown });
    }
  }

  #needsOf(failure: KafkaFailure, { needs = [] }: Attempt): readonly AclResource[] {
    const { transactionalId } = this.#options;
    if (failure.reason === 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED' && transactionalId !== undefined) {
      return [{ kind: 'transactional-id', name: transactionalId, operations: ['Describe', 'Write'] }];
    }
    if (needs.length > 0) return needs;
    if (failure.topic !== undefined) {
      return [{ kind: 'topic', name: failure.topic, operations: ['Describe', 'Write'] }];
    }
    return [{ kind: 'cluster', operations: ['IdempotentWrite'] }];
  }

  aclCommands(needs: readonly AclResource[]): string {
    return needs
      .map((resource) => {
        const operations = resource.operations.map((operation) => `--operation ${operation}`).join(' ');
        const on =
          resource.kind === 'cluster'
            ? '--cluster'
            : resource.kind === 'topic'
              ? `--topic '${resource.name}'`
              : `--transactional-id '${resource.name}'`;
        return `kafka-acls.sh --bootstrap-server ${this.#options.brokers[0]} --add --allow-principal ${this.#options.principal} ${operations} ${on}`;
      })
      .join('\n');
  }

  #refusal(failure: KafkaFailure, message: string, fix: string | undefined): TailraceError {
    this.#refusals++;
    return new TailraceError({
      code: 'E_SINK_CONFIG',
      message,
      fix,
      cause: failure,
      retriable: this.#refusals < TRIES_BEFORE_FINAL,
    });
  }

  /** Only at the start: later the same happens whenever a broker restarts. */
  #connectionHint(failure: KafkaFailure): string | undefined {
    if (this.#hasWorked || !CLOSED_BY_PEER.has(failure.reason)) return undefined;
    const { tls, sasl } = this.#options;
    const hints = [
      tls
        ? 'A listener without TLS does so when it meets TLS: try without `tls`'
        : 'A listener that expects TLS does so: try `tls: true`',
      ...(sasl ? [] : ['a listener that expects a password does so when it gets none: try `sasl`']),
    ];
    return `The broker closed the connection. ${hints.join('; ')}; or use another listener's port.`;
  }

  #authenticationFix(failure: KafkaFailure): string {
    if (failure.reason.includes('SASL')) {
      return 'Check `sasl: { mechanism, username, password }` against the credentials and the mechanisms enabled on this listener.';
    }
    if (failure.reason === 'EPROTO' || failure.reason.startsWith('ERR_SSL_')) {
      return 'This listener does not speak TLS, or refuses our certificate: use the port of a TLS listener, or remove `tls`.';
    }
    return "The broker's certificate is not trusted for this host: set `tls: { ca }` to the authority that issued it, or `tls: { server_name }` to the name it bears.";
  }
}

const CLOSED_BY_PEER: ReadonlySet<string> = new Set(['connection closed', 'ECONNRESET', 'EPIPE']);

const REFUSED_FIXES: Readonly<Record<string, string | undefined>> = {
  INVALID_REPLICATION_FACTOR:
    'There are not that many brokers. Set topics: { replication_factor: N } to what the cluster has.',
  INVALID_TRANSACTION_TIMEOUT:
    'Lower transaction_timeout: the brokers allow transaction.max.timeout.ms, 15m by default.',
  UNSUPPORTED_VERSION: 'Kafka 2.3 or newer is needed.',
  UNSUPPORTED_COMPRESSION_TYPE: 'Set compression: gzip or none, or upgrade the brokers.',
  INVALID_CONFIG: 'Check the names and values under topics: { config }.',
  POLICY_VIOLATION:
    "The cluster's create.topic.policy refuses the topic: adapt `topics`, or create it by hand.",
  INVALID_TOPIC_EXCEPTION:
    'The name is not allowed, or differs from an existing topic only in dots and underscores, which Kafka refuses: set another `topic`.',
  snappy: 'Set compression.type of the topic to producer, uncompressed, gzip or zstd.',
  lz4: 'Set compression.type of the topic to producer, uncompressed, gzip or zstd.',
};
