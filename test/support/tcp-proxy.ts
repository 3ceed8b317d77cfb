import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Seen from the client: `up` is what it sends, `down` what it receives. */
export type Direction = 'up' | 'down';

export type ProxyMode = 'pass' | 'stall' | 'refuse';

export interface TcpProxyOptions {
  readonly host?: string | undefined;
  readonly port: number;
  /** Where to listen on 127.0.0.1; default: a free port. It stays the same when it refuses for a while. */
  readonly listenPort?: number | undefined;
}

export async function startTcpProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const proxy = new TcpProxy({ host: options.host ?? '127.0.0.1', port: options.port });
  await proxy.listen(options.listenPort ?? 0);
  return proxy;
}

/** A network between a client and a server that fails on demand. */
export class TcpProxy implements AsyncDisposable {
  readonly host = '127.0.0.1';
  /** Bytes forwarded over the proxy's life. */
  readonly bytes: Record<Direction, number> = { up: 0, down: 0 };
  /** Connections accepted over the proxy's life. */
  accepted = 0;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #links = new Set<Link>();
  readonly #stalled = new Set<Direction>();
  #server: Server | undefined;
  #port = 0;
  #cutAt: { readonly direction: Direction; readonly bytes: number } | undefined;
  /** The last bytes of this direction have been forwarded: what comes until the reset must not follow them. */
  #cutting: Direction | undefined;

  /** Use {@link startTcpProxy}. */
  constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
  }

  get port(): number {
    return this.#port;
  }

  get mode(): ProxyMode {
    if (this.#server === undefined) return 'refuse';
    return this.#stalled.size === 0 ? 'pass' : 'stall';
  }

  /** Connections open now. */
  get connections(): number {
    return this.#links.size;
  }

  /** The same URL, through the proxy. */
  url(target: string): string {
    const url = new URL(target);
    url.hostname = this.host;
    url.port = String(this.#port);
    return url.href;
  }

  /** Forwards again; what was held back while stalled arrives late. */
  async pass(): Promise<void> {
    this.#stalled.clear();
    this.#cutAt = undefined;
    for (const link of this.#links) link.update();
    if (this.#server === undefined) await this.listen(this.#port);
  }

  /** Half-open: connections stay and are accepted, but nothing is forwarded, not even their end. */
  stall(direction: Direction | 'both' = 'both'): void {
    this.#stalled.clear();
    for (const each of ['up', 'down'] as const) {
      if (direction === 'both' || direction === each) this.#stalled.add(each);
    }
    for (const link of this.#links) link.update();
  }

  /** Resets (RST) the open connections, at both ends; new ones are treated by the mode. */
  cut(): void {
    this.#cutting = undefined;
    for (const link of this.#links) link.reset();
  }

  /** Forwards exactly so many bytes more in this direction, then cuts, once. */
  cutAfter(direction: Direction, bytes: number): void {
    this.#cutAt = { direction, bytes: this.bytes[direction] + bytes };
  }

  /** As if the server were down: resets what is open, and new connections get ECONNREFUSED. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = new Promise((resolve) =>
      server === undefined ? resolve(undefined) : server.close(resolve),
    );
    this.cut();
    await closed;
  }

  async listen(port: number): Promise<void> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) =>
      this.#accept(client),
    );
    server.listen(port, this.host);
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse();
  }

  #accept(client: Socket): void {
    this.accepted += 1;
    const link = new Link({
      client,
      target: this.#target,
      stalled: this.#stalled,
      forward: (direction, chunk) => this.#count(direction, chunk),
      closed: () => this.#links.delete(link),
    });
    this.#links.add(link);
    link.update();
  }

  /** How much of the chunk may still pass. */
  #count(direction: Direction, chunk: Buffer): Buffer {
    if (this.#cutting === direction) return chunk.subarray(0, 0);
    const cut = this.#cutAt;
    const room = cut?.direction === direction ? cut.bytes - this.bytes[direction] : Infinity;
    const passed = chunk.length > room ? chunk.subarray(0, room) : chunk;
    this.bytes[direction] += passed.length;
    if (passed.length >= room) {
      this.#cutAt = undefined;
      this.#cutting = direction;
      // The last bytes leave before the reset.
      setImmediate(() => setImmediate(() => this.cut()));
    }
    return passed;
  }
}

interface LinkParts {
  readonly client: Socket;
  readonly target: { readonly host: string; readonly port: number };
  readonly stalled: ReadonlySet<Direction>;
  readonly forward: (direction: Direction, chunk: Buffer) => Buffer;
  readonly closed: () => void;
}

/** One client's connection and the one to the server that belongs to it. */
class Link {
  readonly #parts: LinkParts;
  #server: Socket | undefined;
  #done = false;

  constructor(parts: LinkParts) {
    this.#parts = parts;
  }

  /** Follows a change of what is stalled. A connection accepted while `up` is stalled does not reach the server yet. */
  update(): void {
    const { client, stalled } = this.#parts;
    if (this.#server === undefined && !stalled.has('up')) this.#connect();
    if (this.#server === undefined) return;
    if (stalled.has('up')) client.pause();
    else client.resume();
    if (stalled.has('down')) this.#server.pause();
    else this.#server.resume();
  }

  reset(): void {
    if (this.#done) return;
    this.#done = true;
    this.#parts.client.resetAndDestroy();
    this.#server?.resetAndDestroy();
    this.#parts.closed();
  }

  #connect(): void {
    const { client, target } = this.#parts;
    const server = connect({ ...target, allowHalfOpen: true });
    this.#server = server;
    this.#pump('up', client, server);
    this.#pump('down', server, client);
  }

  #pump(direction: Direction, from: Socket, to: Socket): void {
    from.setNoDelay(true);
    from.on('data', (chunk: Buffer) => {
      if (this.#done) return;
      if (!to.write(this.#parts.forward(direction, chunk))) from.pause();
    });
    to.on('drain', () => {
      if (!this.#parts.stalled.has(direction)) from.resume();
    });
    from.on('end', () => to.end());
    // An error of one end is a reset for the other.
    from.on('error', () => this.reset());
    from.on('close', () => {
      if (!this.#done && to.destroyed) {
        this.#done = true;
        this.#parts.closed();
      }
    });
  }
}
