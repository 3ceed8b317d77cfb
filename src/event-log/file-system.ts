import { type FileHandle, open, readdir, rename, stat, unlink } from 'node:fs/promises';

/** The few calls the event log makes on files, so that a test can tear a write or fail a sync. */
export interface FileSystem {
  /** `create` makes the file or empties it. */
  open(path: string, mode: 'read' | 'write' | 'create'): Promise<LogFile>;
  readdir(dir: string): Promise<readonly string[]>;
  /** Size in bytes; undefined when there is no such file. */
  stat(path: string): Promise<{ readonly size: number } | undefined>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Makes the directory's entries durable: a new file is only found after a power cut when its directory was synced as well. */
  fsyncDir(dir: string): Promise<void>;
}

export interface LogFile {
  /** Bytes written, which may be fewer than given. */
  writev(buffers: readonly Uint8Array[], position: number): Promise<number>;
  /** Bytes read; 0 at the end. */
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  datasync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

const FLAGS = { read: 'r', write: 'r+', create: 'w' } as const;
/** Row values: for the owner only. */
const FILE_MODE = 0o600;

export const nodeFileSystem: FileSystem = {
  open: async (path, mode) => new NodeFile(await open(path, FLAGS[mode], FILE_MODE)),
  readdir: (dir) => readdir(dir),
  async stat(path) {
    try {
      return { size: (await stat(path)).size };
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  },
  rename: (from, to) => rename(from, to),
  unlink: (path) => unlink(path),
  async fsyncDir(dir) {
    // Windows has no handle on a directory that could be synced; NTFS journals its entries.
    if (process.platform === 'win32') return;
    const handle = await open(dir, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

class NodeFile implements LogFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async writev(buffers: readonly Uint8Array[], position: number): Promise<number> {
    return (await this.#handle.writev(buffers, position)).bytesWritten;
  }

  async read(into: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return (await this.#handle.read(into, offset, length, position)).bytesRead;
  }

  datasync(): Promise<void> {
    return this.#handle.datasync();
  }

  truncate(length: number): Promise<void> {
    return this.#handle.truncate(length);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** Files get their name by rename when they are whole and on disk; until then they are called so. */
export const NEW_SUFFIX = '.new';

/** `ENOENT`, `ENOSPC`, ... of an error of the operating system. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/** The kernel may write fewer bytes than asked for; this writes them all. */
export async function writeFully(
  file: LogFile,
  buffers: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let left = buffers;
  let at = position;
  while (left.length > 0) {
    let written = await file.writev(left, at);
    at += written;
    let i = 0;
    while (i < left.length && written >= (left[i] as Uint8Array).length) written -= left[i++]?.length ?? 0;
    const partial = left[i];
    left = partial === undefined ? [] : [partial.subarray(written), ...left.slice(i + 1)];
  }
}

/** Fills `into[0, length)` from `position`, or as much as the file holds. */
export async function readFully(
  file: LogFile,
  into: Uint8Array,
  length: number,
  position: number,
): Promise<number> {
  let done = 0;
  while (done < length) {
    const read = await file.read(into, done, length - done, position + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}
