import type { Client, QueryResultRow } from 'pg';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { connect } from './connect.ts';
import { type ConnectionSettings, describeHost } from './connection-settings.ts';
import { endClient } from './end-client.ts';
import { translateError } from './translate-error.ts';

/** Past statement_timeout the server should have answered, one way or the other. */
const DEADLINE_MS = 75_000;

export interface SqlSessionOptions {
  readonly settings: ConnectionSettings;
  /** For application_name. */
  readonly purpose: string;
}

export interface Statement {
  readonly sql: string;
  readonly params?: readonly unknown[] | undefined;
  /** For errors, as in `Reading the catalog`. */
  readonly doing: string;
  readonly signal: AbortSignal;
}

/**
 * One connection for statements of our own, made at first use and again after it broke: callers may repeat what they did. One statement at a
 * time, in the order asked for.
 */
export class SqlSession implements AsyncDisposable {
  readonly #options: SqlSessionOptions;
  #client: Client | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: SqlSessionOptions) {
    this.#options = options;
  }

  /** Throws what connect() throws, and SQL errors as translateError() names them; the signal's reason when aborted. */
  query<R extends QueryResultRow>(statement: Statement): Promise<R[]> {
    const run = this.#last.then(() => this.#run<R>(statement));
    this.#last = run.catch(() => {});
    return run;
  }

  /** Waits for the statement under way. */
  async close(): Promise<void> {
    await this.#last;
    await this.#drop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run<R extends QueryResultRow>({ sql, params, doing, signal }: Statement): Promise<R[]> {
    signal.throwIfAborted();
    const client = await this.#connected(signal);
    // Cancelling needs another connection; giving this one up ends the statement as well.
    const abort = (): void => void client.connection.stream.destroy();
    signal.addEventListener('abort', abort, { once: true });
    const timer = setTimeout(() => client.connection.stream.destroy(silent(doing, client)), DEADLINE_MS);
    try {
      // Without parameters the simple protocol is used, which may hold several statements.
      const { rows } = await (params === undefined
        ? client.query<R>(sql)
        : client.query<R>(sql, [...params]));
      return rows;
    } catch (error) {
      const translated = translateError(error, `${doing} at ${describeHost(client)}`);
      // pg answers nothing more on a client that has met a connection error, whatever its socket is doing.
      if (translated.code === 'E_CONNECT') client.connection.stream.destroy();
      signal.throwIfAborted();
      throw translated;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  async #connected(signal: AbortSignal): Promise<Client> {
    if (this.#client?.connection.stream.destroyed === true) await this.#drop();
    this.#client ??= await connect(this.#options.settings, { purpose: this.#options.purpose, signal });
    return this.#client;
  }

  async #drop(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) await endClient(client);
  }
}

function silent(doing: string, client: Client): TailraceError {
  return new TailraceError({
    code: 'E_CONNECT',
    message: `${doing} at ${describeHost(client)}: no answer within ${DEADLINE_MS} ms.`,
    retriable: true,
  });
}
