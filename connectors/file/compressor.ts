import { extname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Logger } from '../../src/observe/logger.ts';
import type { Compressed } from './compress-worker.ts';

const CLOSE_PATIENCE_MS = 1000;

/**
 * The sources run as .ts, the built package as .js, and the compiler rewrites imports but not URLs: the worker has the extension
 * of the file that starts it.
 */
function workerUrl(from: string): URL {
  return new URL(`./compress-worker${extname(new URL(from).pathname)}`, from);
}

/** Compresses files that were put aside, one after the other, in a thread of its own. Delivery never waits for it. */
export class Compressor {
  readonly #logger: Logger;
  #worker: Worker | undefined;
  #waiting = 0;
  #idle: (() => void)[] = [];

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(path: string): void {
    this.#waiting++;
    this.#worker ??= this.#start();
    this.#worker.postMessage(path);
  }

  /** Resolves when nothing is left to do. */
  async idle(): Promise<void> {
    if (this.#waiting > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** A short while for what is nearly done; the rest is begun again at the next start. */
  async close(): Promise<void> {
    const patience = new AbortController();
    const late = delay(CLOSE_PATIENCE_MS, undefined, { signal: patience.signal }).catch(() => {});
    await Promise.race([this.idle(), late]);
    patience.abort();
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(workerUrl(import.meta.url), { name: 'tailrace compress' });
    worker.unref();
    worker.on('message', ({ path, error }: Compressed) => {
      if (error !== undefined)
        this.#logger.warn({ path, error }, 'a file that was put aside stays uncompressed');
      this.#settle(1);
    });
    worker.on('error', (error) =>
      this.#logger.warn({ err: error }, 'files that are put aside stay uncompressed'),
    );
    worker.on('exit', () => {
      this.#worker = undefined;
      this.#settle(this.#waiting);
    });
    return worker;
  }

  #settle(count: number): void {
    this.#waiting -= count;
    if (this.#waiting > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
