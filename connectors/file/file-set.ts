import { rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import type { Checkpoint } from '../../src/events/position.ts';
import { storeCheckpoint } from '../../src/events/position.ts';
import { errnoOf, fileError, tampered } from './file-errors.ts';
import { rotatedName } from './file-name.ts';
import { LineFile, statOf } from './line-file.ts';
import type { PositionFile, StoredPosition } from './position-file.ts';
import { syncDirectory } from './sync-directory.ts';

const SYNCS_AT_ONCE = 8;
/** File descriptors kept between flushes, and how many make one come early. */
const KEPT_OPEN_FILES = 256;
const MOST_OPEN_FILES = 768;

export type Owner = Pick<StoredPosition, 'pipeline' | 'sink' | 'database'>;

/** The files of one directory and the position file that holds them together. */
export class FileSet {
  readonly #dir: string;
  readonly #owner: Owner;
  readonly #position: PositionFile;
  readonly #files = new Map<string, LineFile>();

  constructor(dir: string, owner: Owner, position: PositionFile) {
    this.#dir = dir;
    this.#owner = owner;
    this.#position = position;
  }

  add(file: LineFile): void {
    this.#files.set(file.name, file);
  }

  get(name: string): LineFile {
    let file = this.#files.get(name);
    if (file === undefined) {
      file = new LineFile(this.#dir, name);
      this.#files.set(name, file);
    }
    return file;
  }

  find(name: string): LineFile | undefined {
    return this.#files.get(name);
  }

  get all(): Iterable<LineFile> {
    return this.#files.values();
  }

  /** True when opening these too would take too many file descriptors: a `store` closes what it can. */
  isCrowded(more: ReadonlySet<LineFile>): boolean {
    let open = 0;
    for (const file of this.#files.values()) if (file.isOpen || more.has(file)) open++;
    return open > MOST_OPEN_FILES;
  }

  /** Throws E_SINK_FOREIGN when a file of that name is there that the sink has not made. */
  async assertOurs(file: LineFile): Promise<void> {
    if (file.registered) return;
    const there = await statOf(file.path).catch((thrown: unknown) => {
      throw fileError(thrown, 'look at', file.path);
    });
    if (there !== undefined && there.size > 0)
      throw tampered(file.path, 'is there already, and not from this sink');
  }

  /**
   * Everything accepted is durable when it resolves, and the position file says so. Files that were only just named are in it before
   * their first byte is written: after a crash none is taken for somebody else's.
   */
  async store(checkpoint: Checkpoint | undefined): Promise<void> {
    const dirty = [...this.#files.values()].filter((file) => file.dirty);
    await inGroups(dirty, async (file) => {
      try {
        await file.sync();
      } catch (thrown) {
        throw lostSync(fileError(thrown, 'sync', file.path));
      }
    });
    const files = [...this.#files.values()].filter((file) => file.registered);
    await this.#position.write({
      ...this.#owner,
      checkpoint: checkpoint === undefined ? null : storeCheckpoint(checkpoint),
      files: Object.fromEntries(files.map((file) => [file.name, file.state])),
    });
    await this.#closeSome();
  }

  /**
   * Puts files aside under numbered names. The position file tells of it before and after, so that a crash in between is finished at
   * the next start; called again after a failure it goes on where it stopped. Returns the new paths.
   */
  async rotate(files: readonly LineFile[], checkpoint: Checkpoint | undefined): Promise<string[]> {
    for (const file of files) await this.#chooseName(file);
    await this.store(checkpoint);
    const paths: string[] = [];
    for (const file of files) {
      const to = join(this.#dir, file.rotating?.to ?? '');
      try {
        await file.close();
        await rename(file.path, to).catch(async (thrown: unknown) => {
          const renamedBefore = errnoOf(thrown) === 'ENOENT' && (await statOf(to)) !== undefined;
          if (!renamedBefore) throw thrown;
        });
        await syncDirectory(dirname(file.path));
      } catch (thrown) {
        throw fileError(thrown, 'put aside', file.path);
      }
      paths.push(to);
    }
    for (const file of files) file.startAnew();
    await this.store(checkpoint);
    return paths;
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) await file.close();
  }

  async #chooseName(file: LineFile): Promise<void> {
    if (file.rotating !== undefined) return;
    for (;;) {
      file.rotations++;
      const to = rotatedName(file.name, file.rotations);
      const path = join(this.#dir, to);
      if ((await statOf(path)) !== undefined || (await statOf(`${path}.gz`)) !== undefined) continue;
      file.rotating = { to, size: file.size };
      return;
    }
  }

  async #closeSome(): Promise<void> {
    const open = [...this.#files.values()].filter((file) => file.isOpen);
    for (const file of open.slice(0, Math.max(0, open.length - KEPT_OPEN_FILES))) await file.close();
  }
}

/**
 * After a failed fsync the kernel may have dropped the bytes and call the next fsync a success: what is on disk is only known after
 * reading it again. https://wiki.postgresql.org/wiki/Fsync_Errors
 */
function lostSync(thrown: unknown): unknown {
  if (!(thrown instanceof TailraceError) || !thrown.retriable) return thrown;
  return new TailraceError({
    code: 'E_SINK_UNAVAILABLE',
    message: thrown.message,
    fix: 'Check the disk, then start again: the files are cut to the last position and written anew from there.',
    cause: thrown.cause,
  });
}

async function inGroups<T>(items: readonly T[], each: (item: T) => Promise<void>): Promise<void> {
  for (let i = 0; i < items.length; i += SYNCS_AT_ONCE) {
    await Promise.all(items.slice(i, i + SYNCS_AT_ONCE).map(each));
  }
}
