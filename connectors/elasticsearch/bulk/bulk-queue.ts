import { ByteWriter } from '../../../src/events/byte-writer.ts';
import { BulkBody } from './bulk-body.ts';
import type { BulkLimits } from './bulk-limits.ts';
import type { BulkListener, BulkSender } from './bulk-sender.ts';
import { Sends } from './sends.ts';

export interface BulkQueueOptions {
  readonly sender: BulkSender;
  readonly limits: BulkLimits;
  /** Requests on their way at once. */
  readonly inFlight: number;
  /** Buffers not in use, for bodies. */
  readonly buffers: ByteWriter[];
  readonly listener: BulkListener;
  readonly signal: AbortSignal;
}

/** Cuts a stream of operations into bulk requests and sends them side by side. */
export class BulkQueue {
  readonly #options: BulkQueueOptions;
  readonly #sends: Sends;
  #body: BulkBody | undefined;
  #indices = new Set<string>();

  constructor(options: BulkQueueOptions) {
    this.#options = options;
    this.#sends = new Sends(options.inFlight);
  }

  /** What the next operation is written into. */
  get body(): BulkBody {
    this.#body ??= new BulkBody(this.#options.buffers.pop() ?? new ByteWriter());
    return this.#body;
  }

  /** An operation for this index has been written. Waits while too many requests are on their way. */
  async written(index: string): Promise<void> {
    this.#indices.add(index);
    const { limits } = this.#options;
    if (this.body.bytes >= limits.bytes || this.body.count >= limits.actions) await this.#send();
  }

  /** Resolves when everything has an outcome. Throws the first failure, when nothing is on its way any more. */
  async drain(): Promise<void> {
    if (this.#body !== undefined && this.#body.count > 0) await this.#send();
    await this.#sends.drain();
  }

  async #send(): Promise<void> {
    const { sender, listener, signal, buffers } = this.#options;
    const { body } = this;
    const indices = [...this.#indices];
    this.#body = undefined;
    this.#indices = new Set();
    await this.#sends.start(async () => {
      await sender.send(body, { listener, indices, signal });
      // Not after a failure: the connection may still be reading from it.
      buffers.push(body.out);
    });
  }
}
