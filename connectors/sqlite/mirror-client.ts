import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import { type Answer, type Request, unpackError } from './worker-protocol.ts';

type AnswerOf<K extends Answer['kind']> = Extract<Answer, { readonly kind: K }>;

/**
 * The sources run as .ts, the built package as .js, and the compiler rewrites imports but not URLs: the worker has the extension
 * of the file that starts it.
 */
export function workerUrl(from: string): URL {
  return new URL(`./mirror-worker${extname(new URL(from).pathname)}`, from);
}

/** The sink's side of the worker thread: requests go out in order, answers come back in order. */
export class MirrorClient {
  readonly #worker: Worker;
  readonly #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = [];
  #ended: Error | undefined;

  constructor() {
    this.#worker = new Worker(workerUrl(import.meta.url), { name: 'tailrace sqlite' });
    this.#worker.on('message', (answer: Answer) => this.#settle(answer));
    this.#worker.on('error', (error) => this.#end(error));
    this.#worker.on('exit', (status) => this.#end(new Error(`exit status ${status}`)));
  }

  /** Rejects with the TailraceError the worker met; `onFailed` sees the answer first. */
  async ask<K extends Answer['kind']>(
    request: Request,
    expected: K,
    onFailed?: (answer: AnswerOf<'failed'>) => void,
  ): Promise<AnswerOf<K>> {
    if (this.#ended !== undefined) throw this.#lost(this.#ended);
    const answer = await new Promise<Answer>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage(request, request.kind === 'write' ? [request.buffer] : []);
    });
    if (answer.kind === 'failed') {
      onFailed?.(answer);
      throw unpackError(answer.error);
    }
    if (answer.kind !== expected) throw new Error(`The worker answered ${answer.kind}, not ${expected}.`);
    return answer as AnswerOf<K>;
  }

  /** Waits for what is under way, closes the database and ends the thread. */
  async close(): Promise<void> {
    if (this.#ended === undefined) await this.ask({ kind: 'close' }, 'done');
    await this.#worker.terminate();
  }

  /** Only a question under way keeps the process alive. */
  #settle(answer: Answer): void {
    this.#waiting.shift()?.resolve(answer);
    if (this.#waiting.length === 0) this.#worker.unref();
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#lost(this.#ended));
  }

  #lost(cause: Error): TailraceError {
    return new TailraceError({
      code: 'E_INTERNAL',
      message: 'The worker thread of a sqlite sink has ended.',
      cause,
    });
  }
}
