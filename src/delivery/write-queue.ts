import type { LogBatch } from '../event-log/contract.ts';
import type { WriteResult } from './sink.ts';

interface PendingWrite {
  /** When its result and those of all writes before it are applied. */
  readonly settled: Promise<void>;
  readonly firstUs: bigint | undefined;
}

export interface GivenBatch {
  readonly batch: LogBatch;
  /** Commit time of its first change, microseconds since 1970; undefined when it has none. */
  readonly firstUs: bigint | undefined;
  readonly written: Promise<WriteResult>;
  /** Called in the order of the log, whatever order concurrent writes end in. */
  readonly apply: (result: WriteResult) => void;
  readonly failed: (error: unknown) => void;
}

/** Writes that are on their way. A batch's bytes are released when its own write has ended, well or badly. */
export class WriteQueue {
  readonly #writes: PendingWrite[] = [];

  get length(): number {
    return this.#writes.length;
  }

  /** Commit time of the first change that is on its way; undefined when it is not known. */
  get oldestUs(): bigint | undefined {
    return this.#writes[0]?.firstUs;
  }

  /** Resolves when the oldest write is applied; rejects when it has failed. */
  oldest(): Promise<void> {
    return this.#writes[0]?.settled ?? Promise.resolve();
  }

  /** Resolves when all are applied; rejects when one has failed. */
  async applied(): Promise<void> {
    await Promise.all(this.#writes.map(({ settled }) => settled));
  }

  /** Resolves when none runs any more. */
  async ended(): Promise<void> {
    await Promise.allSettled(this.#writes.map(({ settled }) => settled));
  }

  add({ batch, firstUs, written, apply, failed }: GivenBatch): void {
    const before = this.#writes.at(-1)?.settled ?? Promise.resolve();
    const settled = Promise.allSettled([written, before])
      .then(async () => {
        await before;
        const result = await written;
        this.#writes.shift();
        apply(result);
      })
      .finally(() => batch.release());
    this.#writes.push({ settled, firstUs });
    // A write that fails for good ends those before it, too, which may be waiting for a better time.
    for (const promise of [written, settled]) promise.catch(failed);
  }
}
