import type { Clock } from '../clock.ts';
import type { Position } from '../events/position.ts';
import type { Logger } from '../observe/logger.ts';
import type { EventLogOptions } from './contract.ts';
import type { FileSystem } from './file-system.ts';
import { ioError } from './log-errors.ts';
import { segmentsToRemove } from './retention.ts';
import type { Segment, SegmentIndex } from './segment-index.ts';

export interface SegmentRemoverOptions
  extends Pick<EventLogOptions, 'dir' | 'limitBytes' | 'segmentBytes' | 'retainAgeMs' | 'retainBytes'> {
  readonly index: SegmentIndex;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Log offset behind the last frame, and behind the last one on disk. */
  readonly end: () => number;
  readonly syncedOffset: () => number;
  /** The log begins later than before. */
  readonly onRemoved: () => Promise<void>;
}

/** Removes the segments that nobody needs and retention does not keep, one removal after the other. */
export class SegmentRemover {
  readonly #options: SegmentRemoverOptions;
  #released: Position | undefined;
  #removing: Promise<number> = Promise.resolve(0);
  #closed = false;

  constructor(options: SegmentRemoverOptions) {
    this.#options = options;
  }

  /** Nobody needs what is at or before `position`, until told otherwise. Returns bytes freed. */
  release(position: Position): Promise<number> {
    this.#released = position;
    return this.remove();
  }

  /** Looks again at what was released. Returns bytes freed. */
  remove(): Promise<number> {
    this.#removing = this.#removing.catch(() => 0).then(() => this.#remove());
    return this.#removing;
  }

  removeInBackground(): void {
    this.remove().catch((error: unknown) => {
      this.#options.logger.warn({ err: error }, 'old segments of the event log could not be removed');
    });
  }

  /** The oldest first: what a crash leaves is a log without a gap. */
  async unlink(segments: readonly Segment[]): Promise<void> {
    const { fileSystem, dir } = this.#options;
    for (const { path } of segments) {
      await fileSystem.unlink(path).catch((error: unknown) => {
        throw ioError('remove', path, error);
      });
    }
    await fileSystem.fsyncDir(dir).catch((error: unknown) => {
      throw ioError('sync', dir, error);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#removing.catch(() => 0);
  }

  async #remove(): Promise<number> {
    const { index, clock, logger, end, syncedOffset, segmentBytes, onRemoved } = this.#options;
    const { retainAgeMs, retainBytes, limitBytes } = this.#options;
    if (this.#released === undefined || this.#closed) return 0;
    const onDisk = syncedOffset();
    const count = segmentsToRemove({
      // A segment takes the place of those before it when its own file is on disk.
      segments: index.all.filter((segment) => segment.base < onDisk),
      end: end(),
      released: this.#released,
      nowMs: clock.nowMs(),
      retainAgeMs,
      retainBytes,
      limitBytes,
      roomBytes: segmentBytes,
    });
    if (count === 0) return 0;
    const removed = index.removeFirst(count);
    const freed = (index.first as Segment).base - (removed[0] as Segment).base;
    await this.unlink(removed);
    await onRemoved();
    logger.debug({ segments: count, bytes: freed }, 'removed old segments of the event log');
    return freed;
  }
}
