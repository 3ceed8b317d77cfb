import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request on its way to the cluster. */
export interface Passing {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly body: Buffer;
}

/** What a gateway does in place of passing the cluster's answer on. */
export interface Interference {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string | undefined;
  /** The cluster gets the request all the same, and its answer is lost. */
  readonly applied?: boolean | undefined;
}

export type Hook = (request: Passing) => Promise<Interference | undefined> | Interference | undefined;

/** A gateway in front of a real cluster, as load balancers are: it sees every request, holds it up or answers for the cluster. */
export class Gateway implements AsyncDisposable {
  readonly #target: string;
  readonly #server: Server;
  /** All bulk requests that came. */
  readonly bulks: Passing[] = [];
  hook: Hook = () => undefined;

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer((request, response) => {
      void this.#handle(request, response).catch(() => response.destroy());
    });
  }

  static async start(target: string): Promise<Gateway> {
    const gateway = new Gateway(target);
    gateway.#server.listen(0, '127.0.0.1');
    await once(gateway.#server, 'listening');
    return gateway;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const passing: Passing = {
      method: request.method ?? 'GET',
      path: request.url ?? '/',
      body: Buffer.concat(chunks),
    };
    if (passing.path.startsWith('/_bulk')) this.bulks.push(passing);
    const interference = await this.hook(passing);
    if (interference !== undefined && interference.applied !== true) {
      answer(response, interference);
      return;
    }
    const { host: _host, connection: _connection, 'content-length': _length, ...headers } = request.headers;
    const answered = await fetch(this.#target.replace(/\/$/, '') + passing.path, {
      method: passing.method,
      headers: headers as Record<string, string>,
      ...(passing.body.length === 0 ? {} : { body: new Uint8Array(passing.body) }),
    });
    const body = await answered.text();
    if (interference !== undefined) {
      answer(response, interference);
      return;
    }
    answer(response, {
      status: answered.status,
      body,
      contentType: answered.headers.get('content-type') ?? undefined,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function answer(response: ServerResponse, { status, body, contentType }: Interference): void {
  response.writeHead(status, {
    'content-type': contentType ?? 'text/html',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
