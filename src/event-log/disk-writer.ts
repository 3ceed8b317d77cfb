import type { Clock } from '../clock.ts';
import { asTailraceError, TailraceError } from '../errors/tailrace-error.ts';
import type { Lsn } from '../events/lsn.ts';
import type { Position } from '../events/position.ts';
import type { Appender } from './appender.ts';
import { type FileSystem, type LogFile, NEW_SUFFIX, writeFully } from './file-system.ts';
import { ioError, isDiskFull } from './log-errors.ts';
import { encodeSegmentHeader } from './segment-header.ts';
import { firstFrameOf, type Segment, type SegmentIndex } from './segment-index.ts';
import type { Tail } from './tail.ts';
import { WakeUp } from './wake-up.ts';

/** How long a full disk is left alone before the same bytes are tried again. */
const RETRY_MS = 1000;
/** A group this large does not wait for more. */
const GROUP_BYTES = 4 * 1024 * 1024;

export interface DiskWriterOptions {
  readonly fileSystem: FileSystem;
  readonly dir: string;
  readonly appender: Appender;
  readonly index: SegmentIndex;
  readonly tail: Tail;
  readonly clock: Clock;
  readonly syncIntervalMs: number;
  readonly maxUnsyncedBytes: number;
  /** What is on disk when it begins. */
  readonly synced: Synced;
  /** Rejects when this process may not write any more. */
  readonly mayWrite: () => Promise<void>;
  /** More is on disk. */
  readonly onSynced: () => void;
  /** Writing fails, or goes on after it had failed. */
  readonly onFailure: (failure: TailraceError | undefined) => void;
}

export interface Synced {
  readonly offset: number;
  readonly endLsn: Lsn;
  readonly last: Position;
}

/**
 * Brings the tail to disk in groups: everything appended while one group is being synced shares the next sync. It reports as synced only
 * what a successful fdatasync covers. A full disk is tried again with the same bytes; after any other failure it writes no more, since
 * the kernel may have dropped the pages of a failed sync.
 */
export class DiskWriter {
  readonly #options: DiskWriterOptions;
  readonly #groupBytes: number;
  /** A group has ended, well or badly. */
  readonly #ended = new WakeUp();
  #synced: Synced;
  #file: { readonly segment: Segment; readonly handle: LogFile } | undefined;
  /** Log offset of the newest segment that has its file. */
  #newestFile: number;
  #failure: TailraceError | undefined;
  #running: Promise<void> | undefined;
  #timer: AbortController | undefined;
  #urgent = false;
  #closed = false;

  constructor(options: DiskWriterOptions) {
    this.#options = options;
    this.#synced = options.synced;
    this.#newestFile = options.index.last?.base ?? -1;
    this.#groupBytes = Math.min(GROUP_BYTES, Math.ceil(options.maxUnsyncedBytes / 2));
  }

  get synced(): Synced {
    return this.#synced;
  }

  get failure(): TailraceError | undefined {
    return this.#failure;
  }

  get unsyncedBytes(): number {
    return this.#options.appender.offset - this.#synced.offset;
  }

  /** Something was appended: a sync follows at once, or when the group has had its time. */
  appended(): void {
    if (this.#running !== undefined || this.#failure !== undefined || this.#closed) return;
    const { syncIntervalMs } = this.#options;
    if (syncIntervalMs === 0 || this.#urgent || this.unsyncedBytes >= this.#groupBytes) this.#start();
    else if (this.#timer === undefined) this.#startIn(syncIntervalMs);
  }

  /** Resolves when everything appended so far is on disk; rejects when the attempt fails. */
  async sync(): Promise<void> {
    const target = this.#options.appender.offset;
    while (this.#synced.offset < target) {
      if (this.#failure !== undefined && !this.#failure.retriable) throw this.#failure;
      this.#urgent = true;
      if (this.#running === undefined) this.#start();
      await this.#ended.wait();
      if (this.#failure !== undefined && this.#synced.offset < target) throw this.#failure;
    }
  }

  /** Something outside has gone wrong: nothing more is written. */
  stop(error: TailraceError): void {
    this.#fail(error);
    this.#ended.wake();
  }

  /** One last group, as far as the disk lets it. */
  async close(): Promise<void> {
    if (this.#failure === undefined || this.#failure.retriable) await this.sync().catch(() => {});
    this.#closed = true;
    this.#timer?.abort();
    await this.#running;
    await this.#closeFile().catch(() => {});
  }

  #start(): void {
    this.#timer?.abort();
    this.#timer = undefined;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      this.#ended.wake();
      if (!this.#closed && this.unsyncedBytes > 0) this.appended();
    });
  }

  #startIn(delayMs: number): void {
    const timer = new AbortController();
    this.#timer = timer;
    this.#options.clock.sleep(delayMs, timer.signal).then(
      () => {
        if (this.#timer === timer && this.#running === undefined) this.#start();
      },
      () => {},
    );
  }

  async #run(): Promise<void> {
    try {
      // What is appended in the same turn of the event loop shares the sync.
      await Promise.resolve();
      this.#urgent = false;
      await this.#options.mayWrite();
      await this.#group();
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (this.#failure?.retriable === true) {
      this.#failure = undefined;
      this.#options.onFailure(undefined);
    }
    this.#options.onSynced();
  }

  async #group(): Promise<void> {
    const { appender, index } = this.#options;
    appender.closeBlock();
    const { offset: target, endLsn, last } = appender.end;
    while (this.#synced.offset < target) {
      const segment = index.find(this.#synced.offset);
      if (segment === undefined) return;
      const end = Math.min(target, index.next(segment)?.base ?? target);
      await this.#write(segment, end);
      this.#synced = { ...this.#synced, offset: end };
    }
    this.#synced = { offset: target, endLsn, last };
    this.#options.tail.trim(target);
  }

  /** The bytes of one segment that are not on disk yet, up to log offset `end`. */
  async #write(segment: Segment, end: number): Promise<void> {
    const file = await this.#fileOf(segment);
    const from = Math.max(this.#synced.offset, firstFrameOf(segment));
    const slices = this.#options.tail.slices(from, end);
    try {
      await writeFully(file, slices, from - segment.base);
    } catch (error) {
      throw ioError('write to', segment.path, error);
    }
    try {
      await file.datasync();
    } catch (error) {
      throw failedSync(segment.path, error);
    }
  }

  async #fileOf(segment: Segment): Promise<LogFile> {
    if (this.#file?.segment.base === segment.base) return this.#file.handle;
    await this.#closeFile();
    const handle = segment.base > this.#newestFile ? await this.#create(segment) : await this.#open(segment);
    this.#file = { segment, handle };
    return handle;
  }

  async #open({ path }: Segment): Promise<LogFile> {
    try {
      return await this.#options.fileSystem.open(path, 'write');
    } catch (error) {
      throw ioError('open', path, error);
    }
  }

  /** The name appears when the header is on disk: half a header can only mean damage. */
  async #create(segment: Segment): Promise<LogFile> {
    const { fileSystem, dir } = this.#options;
    const path = segment.path + NEW_SUFFIX;
    let handle: LogFile | undefined;
    try {
      handle = await fileSystem.open(path, 'create');
      await writeFully(handle, [encodeSegmentHeader(segment)], 0);
      await handle.datasync();
      await fileSystem.rename(path, segment.path);
    } catch (error) {
      await handle?.close().catch(() => {});
      throw ioError('create', segment.path, error);
    }
    try {
      await fileSystem.fsyncDir(dir);
    } catch (error) {
      await handle.close().catch(() => {});
      throw failedSync(dir, error);
    }
    this.#newestFile = segment.base;
    return handle;
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.handle.close();
  }

  #fail(error: unknown): void {
    const failure = asTailraceError(error);
    this.#failure = failure;
    if (failure.retriable && !this.#closed) this.#startIn(RETRY_MS);
    this.#options.onFailure(failure);
  }
}

/** Never to be tried again, a full disk included: the pages may be gone. */
function failedSync(path: string, cause: unknown): TailraceError {
  const error = ioError('sync', path, cause);
  if (!isDiskFull(cause)) return error;
  return new TailraceError({
    code: error.code,
    message: error.message,
    fix: `${error.fix}\nThen start again.`,
    cause,
  });
}
