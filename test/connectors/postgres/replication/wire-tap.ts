import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export interface TappedStatus {
  readonly written: bigint;
  readonly flushed: bigint;
  readonly applied: bigint;
  readonly asksForReply: boolean;
  /** performance.now() */
  readonly atMs: number;
}

export interface WireTapOptions {
  readonly port: number;
  /** Looks at what the server sends and may change it. */
  readonly down?: ((chunk: Buffer) => Buffer) | undefined;
  /** What the server sends is gathered for so long and arrives in one piece. */
  readonly gatherMs?: number | undefined;
}

const COPY_DATA = 0x64; // d
const STATUS = 0x72; // r

/** Listens in on plain connections to a PostgreSQL: what we tell the server, message by message. */
export class WireTap implements AsyncDisposable {
  readonly statuses: TappedStatus[] = [];
  /** CopyDone messages of ours. */
  copyDones = 0;
  readonly #options: WireTapOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(options: WireTapOptions) {
    this.#options = options;
    this.#server = createServer((client) => this.#accept(client));
  }

  static async listen(options: WireTapOptions): Promise<WireTap> {
    const tap = new WireTap(options);
    tap.#server.listen(0, '127.0.0.1');
    await once(tap.#server, 'listening');
    return tap;
  }

  url(target: string): string {
    const url = new URL(target);
    url.port = String((this.#server.address() as AddressInfo).port);
    return url.href;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(client: Socket): void {
    const server = connect(this.#options.port, '127.0.0.1');
    const sent = new ClientMessages((type, payload) => this.#message(type, payload));
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.on('data', (chunk: Buffer) => {
      sent.push(chunk);
      server.write(chunk);
    });
    const { down, gatherMs } = this.#options;
    let gathered: Buffer[] = [];
    const forward = (): void => {
      client.write(Buffer.concat(gathered));
      gathered = [];
    };
    server.on('data', (chunk: Buffer) => {
      if (gathered.push(down?.(chunk) ?? chunk) > 1) return;
      if (gatherMs === undefined) forward();
      else setTimeout(forward, gatherMs);
    });
  }

  #message(type: number, payload: Buffer): void {
    if (type === 0x63) this.copyDones += 1;
    if (type !== COPY_DATA || payload[0] !== STATUS) return;
    this.statuses.push({
      written: payload.readBigUInt64BE(1),
      flushed: payload.readBigUInt64BE(9),
      applied: payload.readBigUInt64BE(17),
      asksForReply: payload[33] === 1,
      atMs: performance.now(),
    });
  }
}

/** Cuts one direction into messages; the start-up packet is the only one without a type. */
class ClientMessages {
  readonly #take: (type: number, payload: Buffer) => void;
  #buffered = Buffer.alloc(0);
  #started = false;

  constructor(take: (type: number, payload: Buffer) => void) {
    this.#take = take;
  }

  push(chunk: Buffer): void {
    this.#buffered = Buffer.concat([this.#buffered, chunk]);
    for (;;) {
      const header = this.#started ? 5 : 4;
      if (this.#buffered.length < header) return;
      const length = this.#buffered.readUInt32BE(header - 4) + header - 4;
      if (this.#buffered.length < length) return;
      if (this.#started) this.#take(this.#buffered[0] ?? 0, this.#buffered.subarray(5, length));
      this.#started = true;
      this.#buffered = this.#buffered.subarray(length);
    }
  }
}
