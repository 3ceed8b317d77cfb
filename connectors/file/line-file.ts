import { type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ByteWriter } from '../../src/events/byte-writer.ts';
import { errnoOf, tampered } from './file-errors.ts';
import type { FileState } from './position-file.ts';
import { syncDirectory } from './sync-directory.ts';

const NOTHING = Buffer.alloc(0);

/** One file that lines are appended to, the size it should have, and the lines that are to follow. */
export class LineFile {
  readonly name: string;
  readonly path: string;
  /** Bytes of whole lines that were accepted. */
  size: number;
  rotations: number;
  sinceMs: number;
  rotating: FileState['rotating'];
  /** The position file knows of it: only then may it come into being. */
  registered: boolean;
  /** Lines of the batch that is being written. */
  lines: ByteWriter | undefined;

  readonly #dir: string;
  #handle: FileHandle | undefined;
  #dirty = false;
  /** Bytes of a failed write may lie behind `size`. */
  #torn = false;

  constructor(dir: string, name: string, state?: FileState) {
    this.#dir = dir;
    this.name = name;
    this.path = join(dir, name);
    this.size = state?.size ?? 0;
    this.rotations = state?.rotations ?? 0;
    this.sinceMs = state?.since_ms ?? 0;
    this.rotating = state?.rotating;
    this.registered = state !== undefined;
  }

  get state(): FileState {
    const { size, rotations, sinceMs, rotating } = this;
    return { size, rotations, since_ms: sinceMs, ...(rotating === undefined ? {} : { rotating }) };
  }

  get isOpen(): boolean {
    return this.#handle !== undefined;
  }

  get dirty(): boolean {
    return this.#dirty;
  }

  /** Writes the pending lines behind `size`, which does not move: call `accept` or `cut`. */
  async append(): Promise<void> {
    const handle = await this.#open();
    if (this.#torn) await this.#truncate(handle);
    this.#torn = true;
    this.#dirty = true;
    const bytes = this.lines?.view() ?? NOTHING;
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, this.size + done);
      done += bytesWritten;
    }
  }

  accept(nowMs: number): void {
    if (this.size === 0) this.sinceMs = nowMs;
    this.size += this.lines?.length ?? 0;
    this.#torn = false;
  }

  /** Takes a failed write back, as far as the disk allows; what is left is cut before the next one. */
  async cut(): Promise<void> {
    if (!this.#torn || this.#handle === undefined) return;
    await this.#truncate(this.#handle);
  }

  /** Makes what was accepted durable. Throws E_SINK_FOREIGN when the file is not as it was left. */
  async sync(): Promise<void> {
    if (!this.#dirty) return;
    const handle = await this.#open();
    await handle.sync();
    const [there, ours] = await Promise.all([statOf(this.path), handle.stat({ bigint: true })]);
    if (there === undefined) throw tampered(this.path, 'was taken away while it was written');
    if (there.ino !== ours.ino) throw tampered(this.path, 'was replaced while it was written');
    if (ours.size < this.size)
      throw tampered(this.path, `is shorter (${ours.size} bytes) than what was written (${this.size})`);
    this.#dirty = false;
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  /** The content has gone under another name; a new file follows. */
  startAnew(): void {
    this.size = 0;
    this.sinceMs = 0;
    this.rotating = undefined;
    this.#dirty = false;
    this.#torn = false;
  }

  async #truncate(handle: FileHandle): Promise<void> {
    await handle.truncate(this.size);
    this.#torn = false;
  }

  async #open(): Promise<FileHandle> {
    this.#handle ??= this.size === 0 ? await this.#create() : await open(this.path, 'r+');
    return this.#handle;
  }

  async #create(): Promise<FileHandle> {
    const parent = dirname(this.path);
    const made = await mkdir(parent, { recursive: true });
    const handle = await open(this.path, 'wx').catch((thrown: unknown) => {
      // Made before a crash, or by hand: empty, since a file of ours is cut to its size at the start.
      if (errnoOf(thrown) === 'EEXIST') return open(this.path, 'r+');
      throw thrown;
    });
    try {
      const { size } = await handle.stat();
      if (size > 0 && !this.#torn) throw tampered(this.path, `was written by somebody else (${size} bytes)`);
      await syncDirectory(parent);
      // mkdir answers the first directory it made: the names of all below the sink's own are to be durable.
      for (let dir = parent; made !== undefined && dir !== this.#dir; dir = dirname(dir)) {
        await syncDirectory(dirname(dir));
      }
      return handle;
    } catch (thrown) {
      await handle.close();
      throw thrown;
    }
  }
}

/** Undefined when there is nothing of that name. */
export async function statOf(
  path: string,
): Promise<{ readonly size: bigint; readonly ino: bigint } | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return undefined;
    throw thrown;
  }
}
