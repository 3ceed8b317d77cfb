import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import type { StoredCheckpoint } from '../../src/events/position.ts';
import { errnoOf, fileError } from './file-errors.ts';
import { syncDirectory } from './sync-directory.ts';

/** One file as of a checkpoint. */
export interface FileState {
  /** Bytes of whole lines at or before the checkpoint; what lies behind is cut off at the next start. */
  readonly size: number;
  /** How many files have been put aside, which is also the last one's number at least. */
  readonly rotations: number;
  /** Wall clock, ms: when its first line was written; 0 while it is empty. */
  readonly since_ms: number;
  /** It is being put aside: its content, this long, gets that name. */
  readonly rotating?: { readonly to: string; readonly size: number } | undefined;
}

/** Everything that must agree after a crash. */
export interface StoredPosition {
  readonly pipeline: string;
  readonly sink: string;
  /** Cluster and database of the source, without the generation. */
  readonly database: string;
  readonly checkpoint: StoredCheckpoint | null;
  readonly files: Readonly<Record<string, FileState>>;
}

export const POSITION_FILE = '.tailrace-position.json';
const FORMAT = 'tailrace-file-sink';
const VERSION = 1;
/** The session stands at the head of the file. */
const HEAD_BYTES = 128;

/**
 * The position of a directory: replaced as a whole (written anew, synced, renamed, directory synced), so that it is either the old one
 * or the new one. Anything else is damage, and is never taken for "from the beginning".
 */
export class PositionFile {
  readonly path: string;
  readonly #dir: string;
  readonly #session: string;
  #ours = false;

  constructor(dir: string, session: string) {
    this.#dir = dir;
    this.path = join(dir, POSITION_FILE);
    this.#session = session;
  }

  /** Undefined when the directory has none. Throws E_STATE. */
  async read(): Promise<StoredPosition | undefined> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (thrown) {
      if (errnoOf(thrown) === 'ENOENT') return undefined;
      throw fileError(thrown, 'read', this.path);
    }
    return this.#parse(text);
  }

  /** Durable when resolved. Throws E_FENCED when another session has written since. */
  async write(position: StoredPosition): Promise<void> {
    const body = { session: this.#session, format: FORMAT, version: VERSION, ...position };
    const text = `${JSON.stringify({ ...body, checksum: checksumOf(body) })}\n`;
    const next = `${this.path}.new`;
    try {
      if (this.#ours) await this.#assertOurs();
      const handle = await open(next, 'w');
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(next, this.path);
      await syncDirectory(this.#dir);
      this.#ours = true;
    } catch (thrown) {
      throw fileError(thrown, 'write', this.path);
    }
  }

  /** The lock keeps others out; this sees what a lock on a network file system may not. */
  async #assertOurs(): Promise<void> {
    const head = Buffer.alloc(HEAD_BYTES);
    const handle = await open(this.path, 'r');
    try {
      await handle.read(head, 0, HEAD_BYTES, 0);
    } finally {
      await handle.close();
    }
    if (head.latin1Slice(0, HEAD_BYTES).startsWith(`{"session":"${this.#session}"`)) return;
    throw new TailraceError({
      code: 'E_FENCED',
      message: `Another instance has written ${this.path}.`,
      fix: 'Let only one instance of the pipeline run.',
    });
  }

  #parse(text: string): StoredPosition {
    let parsed: Record<string, unknown>;
    try {
      parsed = JSON.parse(text) as Record<string, unknown>;
    } catch (thrown) {
      throw this.#unbelievable(text === '' ? 'it is empty' : 'it is no JSON', thrown);
    }
    const { checksum, ...body } = parsed;
    if (body['format'] !== FORMAT) throw this.#unbelievable('it is not the position of a file sink');
    if (body['version'] !== VERSION) {
      throw this.#unbelievable(`it has version ${String(body['version'])}, this program reads ${VERSION}`);
    }
    if (checksum !== checksumOf(body)) throw this.#unbelievable('its checksum is wrong');
    return body as unknown as StoredPosition;
  }

  #unbelievable(why: string, cause?: unknown): TailraceError {
    return new TailraceError({
      code: 'E_STATE',
      message: `The position of a file sink cannot be used: ${this.path}: ${why}.`,
      fix: 'Restore it from a copy of the whole directory, or move the directory away; the sink then begins anew.',
      cause,
    });
  }
}

function checksumOf(body: object): string {
  return crc32(JSON.stringify(body)).toString(16).padStart(8, '0');
}
