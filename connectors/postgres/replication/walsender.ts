import { Socket } from 'node:net';
import { type Client, type ClientConfig, DatabaseError } from 'pg';
import { LogicalReplicationService, PgoutputPlugin } from 'pg-logical-replication';
import { type CopyData, connectionOf, hearErrors, type WalSenderSocket } from './walsender-internals.ts';

export interface WalSenderOptions {
  /** For one host, with `replication: 'database'` and the session's settings. */
  readonly config: ClientConfig;
  readonly slot: string;
  readonly publication: string;
  /** Runs on the fresh session until the server has accepted START_REPLICATION; `start` issues it and settles when it ended. */
  readonly onSession: (session: WalSenderSession) => Promise<void>;
  /** One whole CopyData payload, on loan. Must not throw. */
  readonly onFrame: (frame: Buffer) => void;
  /** After the frames of each read of the socket. */
  readonly onRead: (bytes: number) => void;
  /** Warnings of the server, by SQLSTATE. */
  readonly onNotice: (sqlState: string) => void;
}

/** SQL by the simple protocol, before streaming begins. */
export interface WalSenderSession {
  query<R extends object>(sql: string): Promise<readonly R[]>;
  /** Resolves when the server streams; rejects with its refusal, after which the session is usable as before. */
  start(command: string): Promise<void>;
}

/** How a stream ended that did not fail: our CopyDone was answered, or the server ended it in order (shutdown). */
export type WalSenderEnd = 'finished' | 'server-closed';

/**
 * One connection that streams. pg-logical-replication connects and hosts the plugin; everything that decides what is confirmed, read or lost is done
 * here: its own acknowledging, frame handler and status timer are off, and what it says of the end of a connection, which is two
 * reports of one event or none, is folded into the one outcome of `ended`.
 */
export class WalSender {
  readonly #options: WalSenderOptions;
  readonly #socket = new Socket();
  readonly #service: LogicalReplicationService;
  readonly #streaming = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<WalSenderEnd>();
  #client: Client | undefined;
  #connection: WalSenderSocket | undefined;
  #finishing = false;
  #commandCompleted = false;
  #over = false;

  constructor(options: WalSenderOptions) {
    this.#options = options;
    this.#service = new LogicalReplicationService(
      // The socket is ours, so that it can be destroyed at any time, also while connecting.
      {
        ...options.config,
        stream: () => {
          queueMicrotask(() => hearErrors(this.#service));
          return this.#socket;
        },
      },
      { acknowledge: { auto: false, timeoutSeconds: 0 } },
    );
    this.#service.on('error', (error) => this.#fail(error));
    // Whoever waits sees the failure; nobody has to.
    this.#streaming.promise.catch(() => {});
    this.#ended.promise.catch(() => {});
  }

  /** Resolves when the server streams. Rejects with whatever pg reported. */
  async open(): Promise<void> {
    const { slot, publication } = this.#options;
    const plugin = new SessionPlugin(publication, async (client) => this.#run(client));
    this.#service.subscribe(plugin, slot).catch((error: unknown) => this.#fail(error));
    return this.#streaming.promise;
  }

  /** Settles once. Rejects with whatever pg reported. */
  get ended(): Promise<WalSenderEnd> {
    return this.#ended.promise;
  }

  send(status: Buffer): void {
    if (!this.#over && !this.#finishing) this.#connection?.sendCopyFromChunk(status);
  }

  pause(): void {
    this.#connection?.stream.pause();
  }

  resume(): void {
    if (!this.#socket.destroyed) this.#connection?.stream.resume();
  }

  /** CopyDone: the server answers with its own when it has sent what it is at. `ended` tells. */
  finish(): void {
    if (this.#over || this.#finishing) return;
    this.#finishing = true;
    this.#connection?.endCopyFrom();
  }

  /** Ends everything; what has not ended in order by the deadline is cut. Never rejects. */
  async close(deadlineMs: number): Promise<void> {
    const deadline = setTimeout(() => this.destroy(), deadlineMs);
    try {
      await this.#service.destroy();
    } catch {
      this.destroy();
    } finally {
      clearTimeout(deadline);
      this.#fail(new Error('The connection was closed'));
      // The service has removed all listeners; an error event without one would end the process.
      this.#client?.on('error', ignore);
      this.#connection?.on('error', ignore);
      this.#socket.destroy();
    }
  }

  /** Cuts the connection now. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Never rejects: the outcome goes through `ended`. */
  async #run(client: Client): Promise<void> {
    try {
      const connection = connectionOf(client);
      this.#client = client;
      this.#connection = connection;
      // The service's own handler confirms nothing, but keeps positions and calls a parser; pg's own does nothing.
      connection.removeAllListeners('copyData');
      client.on('notice', (notice) => {
        if (notice.code !== undefined) this.#options.onNotice(notice.code);
      });
      await this.#options.onSession({
        query: async <R extends object>(sql: string) => (await client.query<R>(sql)).rows,
        start: (command) => this.#start(client, connection, command),
      });
    } catch (error) {
      this.#fail(error);
    }
  }

  async #start(client: Client, connection: WalSenderSocket, command: string): Promise<void> {
    const accepted = Promise.withResolvers<void>();
    let started = false;
    const onStarted = (): void => {
      started = true;
      connection.on('copyData', ({ chunk }: CopyData) => {
        if (!this.#over) this.#options.onFrame(chunk);
      });
      connection.on('commandComplete', () => {
        this.#commandCompleted = true;
      });
      // Behind pg's own listener, which has delivered the frames.
      connection.stream.on('data', (read: Buffer) => this.#options.onRead(read.length));
      accepted.resolve();
      this.#streaming.resolve();
    };
    connection.once('replicationStart', onStarted);
    client.query(command).then(
      () => this.#end(this.#finishing ? 'finished' : 'server-closed'),
      (error: unknown) => {
        connection.off('replicationStart', onStarted);
        if (started) this.#fail(error);
        else accepted.reject(error);
      },
    );
    await accepted.promise;
  }

  #end(how: WalSenderEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#ended.resolve(how);
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    if (this.#finishing) {
      this.#end('finished');
      return;
    }
    // A server that shuts down completes the command and closes the connection, which pg calls unexpected.
    if (this.#commandCompleted && !(error instanceof DatabaseError)) {
      this.#end('server-closed');
      return;
    }
    this.#over = true;
    this.#streaming.reject(error);
    this.#ended.reject(error);
  }
}

/** Hands the connected client over instead of starting anything itself. */
class SessionPlugin extends PgoutputPlugin {
  readonly #run: (client: Client) => Promise<void>;

  constructor(publication: string, run: (client: Client) => Promise<void>) {
    super({ protoVersion: 1, publicationNames: [publication] });
    this.#run = run;
  }

  override async start(client: Client): Promise<void> {
    await this.#run(client);
  }
}

function ignore(): void {}
