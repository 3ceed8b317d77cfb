import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Keys of Kafka's requests. https://kafka.apache.org/protocol#protocol_api_keys */
export const API = {
  produce: 0,
  metadata: 3,
  findCoordinator: 10,
  initProducerId: 22,
  addPartitionsToTxn: 24,
  endTxn: 26,
} as const;

/** `lose-request`: the broker never gets it. `lose-answer`: the broker has done it, and nobody hears. Both reset the connection. */
export type Fate = 'pass' | 'lose-request' | 'lose-answer';

/** A network that knows Kafka's frames, and loses chosen ones. */
export class FrameProxy implements AsyncDisposable {
  /** Asked for every request. */
  decide: (api: number) => Fate = () => 'pass';
  /** Called when one has been lost and its connection reset. */
  onLost: () => void = () => {};
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #refusing = false;
  #stalled = false;

  static async start(options: {
    readonly targetPort: number;
    readonly listenPort: number;
  }): Promise<FrameProxy> {
    const proxy = new FrameProxy(options.targetPort);
    proxy.#server.listen(options.listenPort, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  private constructor(targetPort: number) {
    this.#target = targetPort;
    this.#server = createServer((client) => this.#accept(client));
  }

  /** New connections end at once, those that are open too. */
  refuse(): void {
    this.#refusing = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Half-open: nothing moves, in either direction. */
  stall(): void {
    this.#stalled = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** What was held back moves on. */
  pass(): void {
    this.#refusing = false;
    this.#stalled = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.destroy();
      return;
    }
    const broker = connect(this.#target, '127.0.0.1');
    const cut = (): void => {
      client.destroy();
      broker.destroy();
    };
    const lose = (): void => {
      cut();
      this.onLost();
    };
    for (const socket of [client, broker]) {
      this.#sockets.add(socket);
      if (this.#stalled) socket.pause();
      socket.setNoDelay(true);
      socket.on('error', cut);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        cut();
      });
    }
    const lostAnswers = new Set<number>();
    client.on(
      'data',
      frames((frame) => {
        const fate = this.decide(frame.readInt16BE(4));
        if (fate === 'lose-answer') lostAnswers.add(frame.readInt32BE(8));
        if (fate === 'lose-request') lose();
        else if (!broker.destroyed) broker.write(frame);
      }),
    );
    broker.on(
      'data',
      frames((frame) => {
        if (lostAnswers.has(frame.readInt32BE(4))) lose();
        else if (!client.destroyed) client.write(frame);
      }),
    );
  }
}

function frames(each: (frame: Buffer) => void): (chunk: Buffer) => void {
  let held = Buffer.alloc(0);
  return (chunk) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= 4 && held.length >= 4 + held.readInt32BE(0)) {
      const end = 4 + held.readInt32BE(0);
      each(held.subarray(0, end));
      held = held.subarray(end);
    }
  };
}
