import type { Socket } from 'node:net';
import type { Client } from 'pg';

const SSL_REFUSED = 'N'.charCodeAt(0);

const PASSWORD_REQUESTS = [
  'authenticationCleartextPassword',
  'authenticationMD5Password',
  'authenticationSASL',
] as const;

interface ParameterStatus {
  readonly parameterName: string;
  readonly parameterValue: string;
}

/** The part of pg's connection that tells how far a start-up has come; not in its documentation. */
interface StartUp {
  /** Replaced by the TLS socket when there is one. */
  readonly stream: Socket;
  attachListeners(stream: Socket): void;
  on(event: 'parameterStatus', listener: (message: ParameterStatus) => void): unknown;
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): unknown;
  on(event: (typeof PASSWORD_REQUESTS)[number] | 'authenticationOk' | 'end', listener: () => void): unknown;
}

/** Watches one start-up: pg reports several failures as errors without class or code, told apart here by how far it had come. */
export class Handshake {
  /** What the server reported: in_hot_standby, server_version... */
  readonly parameters = new Map<string, string>();
  /** What ended it from our side. */
  ended: unknown;
  /** The server said something that pg cannot read. */
  unreadable = false;
  #sslReply: number | undefined;
  #authenticating = false;
  #closed = false;
  readonly #connection: StartUp;

  /** Before the client connects. */
  constructor(client: Client) {
    const connection = client.connection as unknown as StartUp;
    this.#connection = connection;
    connection.on('parameterStatus', ({ parameterName, parameterValue }) => {
      this.parameters.set(parameterName, parameterValue);
    });
    for (const request of PASSWORD_REQUESTS) connection.on(request, () => (this.#authenticating = true));
    connection.on('authenticationOk', () => (this.#authenticating = false));
    connection.on('end', () => (this.#closed = true));
    // A reset is told before the end. What pg itself has against the server's answer has no code.
    connection.on('error', ({ code }) => {
      if (code !== undefined) this.#closed = true;
    });
    if (client.ssl) {
      connection.stream.once('data', (reply: Buffer) => {
        this.#sslReply = reply[0];
      });
    }
    this.#catchParseErrors();
  }

  get tlsRefused(): boolean {
    return this.#sslReply === SSL_REFUSED;
  }

  /** Neither side has hung up, but the client does not like what the server says (or has no password to answer with). */
  get failedAuthentication(): boolean {
    return this.#authenticating && !this.#closed;
  }

  end(reason: unknown): void {
    this.ended ??= reason;
    this.#connection.stream.destroy(reason instanceof Error ? reason : undefined);
  }

  /** What pg's parser throws (an authentication method it does not know, bytes of another protocol) would be an uncaught exception. */
  #catchParseErrors(): void {
    const connection = this.#connection;
    const attach = connection.attachListeners.bind(connection);
    connection.attachListeners = (stream) => {
      attach(stream);
      const parse = stream.listeners('data').at(-1) as (chunk: Buffer) => void;
      stream.off('data', parse);
      stream.on('data', (chunk: Buffer) => {
        try {
          parse(chunk);
        } catch (error) {
          this.unreadable = true;
          stream.destroy(error as Error);
        }
      });
    };
  }
}
