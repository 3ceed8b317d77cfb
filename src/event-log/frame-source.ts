import { TailraceError } from '../errors/tailrace-error.ts';
import { readBlocks } from './block-file.ts';
import { errnoOf, type FileSystem, type LogFile } from './file-system.ts';
import { corrupt, ioError } from './log-errors.ts';
import { firstFrameOf, type Segment, type SegmentIndex } from './segment-index.ts';
import { type Slab, SlabPool } from './slab.ts';
import type { Tail } from './tail.ts';

/** Read buffers a reader keeps to use again; more are only there while batches hold them. */
const KEPT_BUFFERS = 2;

export interface FrameSourceOptions {
  readonly fileSystem: FileSystem;
  readonly tail: Tail;
  readonly index: SegmentIndex;
  readonly readBytes: number;
  readonly visible: () => number;
  readonly syncedOffset: () => number;
  /** Who reads, for errors. */
  readonly name: string;
}

/** Frames that can be gone through now: `slab.buffer[start, end)`. Filled anew by every `load`. */
export interface FrameRange {
  slab: Slab;
  start: number;
  end: number;
}

/**
 * Gives one reader the frames at a log offset: from the tail when they are there, else from their segment's file in whole, verified
 * blocks. What it gave last stays pinned until it gives something else.
 */
export class FrameSource {
  readonly #options: FrameSourceOptions;
  readonly #pool: SlabPool;
  #range: FrameRange | undefined;
  /** What was read from disk last; pinned while it is the range. */
  #read: Slab | undefined;
  #file: { readonly segment: Segment; readonly handle: LogFile } | undefined;

  constructor(options: FrameSourceOptions) {
    this.#options = options;
    this.#pool = new SlabPool(options.readBytes, KEPT_BUFFERS);
  }

  /**
   * `offset`: of a frame, below what is visible; `block`: of the block frame at or before it. Throws E_GAP when retention has removed it.
   */
  load(offset: number, block: number): FrameRange | Promise<FrameRange> {
    const slab = this.#options.tail.find(offset);
    if (slab !== undefined) return this.#give(slab, Math.max(offset, slab.base));
    const read = this.#read;
    if (read !== undefined && read.base <= offset && offset < read.end) return this.#give(read, offset);
    return this.#fromDisk(offset, block);
  }

  async close(): Promise<void> {
    this.#range?.slab.unpin();
    this.#range = undefined;
    this.#read?.retire();
    this.#read = undefined;
    await this.#closeFile();
  }

  #give(slab: Slab, offset: number): FrameRange {
    const start = offset - slab.base;
    const visible = this.#options.visible() - slab.base;
    // A slab of the tail that is not the last ends where its last block does; the one being written, at what is visible.
    const end = this.#options.tail.isLast(slab) ? visible : Math.min(slab.length, visible);
    slab.pin();
    this.#range?.slab.unpin();
    this.#range = { slab, start, end };
    return this.#range;
  }

  async #fromDisk(offset: number, block: number): Promise<FrameRange> {
    const { index } = this.#options;
    const segment = index.find(offset);
    if (segment === undefined) throw this.#removed();
    const first = firstFrameOf(segment);
    // Behind the last frame of a segment stands the header of the next, whose frames may be in the tail.
    if (offset < first) return this.load(first, first);
    const synced = this.#options.syncedOffset();
    const end = Math.min(index.next(segment)?.base ?? synced, synced);
    // What was read last ends with a whole block.
    const from = offset === this.#read?.end ? offset : block;
    const file = await this.#fileOf(segment);
    const read = await this.#readBlocks(file, segment, from, end);
    this.#read?.retire();
    this.#read = read;
    return this.#give(read, offset);
  }

  async #readBlocks(file: LogFile, segment: Segment, from: number, to: number): Promise<Slab> {
    const read = await readBlocks({
      file,
      base: segment.base,
      from,
      to,
      readBytes: this.#options.readBytes,
      take: (base, minBytes) => this.#pool.take(base, minBytes),
    }).catch((error: unknown) => {
      throw ioError('read', segment.path, error);
    });
    if (read.state === 'whole') return read.slab;
    const what =
      read.state === 'cut' ? 'the file ends inside a block' : 'a block is damaged (checksum or header)';
    throw corrupt(segment.path, from - segment.base, what);
  }

  async #fileOf(segment: Segment): Promise<LogFile> {
    if (this.#file?.segment.base === segment.base) return this.#file.handle;
    await this.#closeFile();
    try {
      const handle = await this.#options.fileSystem.open(segment.path, 'read');
      this.#file = { segment, handle };
      return handle;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' && this.#options.index.find(segment.base) === undefined) {
        throw this.#removed();
      }
      throw ioError('open', segment.path, error);
    }
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.handle.close();
  }

  #removed(): TailraceError {
    return gap(this.#options.name);
  }
}

export function gap(reader: string): TailraceError {
  return new TailraceError({
    code: 'E_GAP',
    message: `${reader} would read on where the event log has been removed: the changes up to its first segment are gone for it.`,
    fix: `Empty the target of ${reader} and start it anew, or leave it out: --without ${reader}.`,
  });
}
