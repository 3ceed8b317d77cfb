import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { TailraceError } from '../errors/tailrace-error.ts';
import type { LogIdentity } from './contract.ts';
import { errnoOf, type FileSystem, NEW_SUFFIX, readFully, writeFully } from './file-system.ts';
import { ioError } from './log-errors.ts';

/** What is known of a log beside its events. */
export interface LogState {
  /** Undefined until the pipeline has told who it is. */
  readonly identity?: LogIdentity | undefined;
  /** Log offset of the end as of the last clean shutdown: the log can only have grown since. */
  readonly end: number;
}

const FILE_NAME = 'state.json';
const FORMAT = 'tailrace-event-log-state';
const VERSION = 1;
/** Far above what an identity needs: another file under this name is not read into memory. */
const MAX_BYTES = 64 * 1024;

/**
 * `state.json` beside the segments. Replaced as a whole: written anew, synced, renamed, directory synced; so it is either the old one or
 * the new one, and anything else is damage that an operator has to see.
 */
export class StateFile {
  readonly path: string;
  readonly #dir: string;
  readonly #fileSystem: FileSystem;
  #state: LogState | undefined;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(dir: string, fileSystem: FileSystem) {
    this.path = join(dir, FILE_NAME);
    this.#dir = dir;
    this.#fileSystem = fileSystem;
  }

  /** As of the last `read` or `update`. */
  get state(): LogState | undefined {
    return this.#state;
  }

  /** Undefined when there is no such file. Throws E_STATE when it cannot be believed. */
  async read(): Promise<LogState | undefined> {
    const text = await this.#readText();
    this.#state = text === undefined ? undefined : this.#parse(text);
    return this.#state;
  }

  /** Durable when resolved. */
  update(change: Partial<LogState>): Promise<LogState> {
    const writing = this.#writing.then(async () => {
      const state = { end: 0, ...this.#state, ...change };
      await this.#write(state).catch((error: unknown) => {
        throw ioError('write', this.path, error);
      });
      this.#state = state;
      return state;
    });
    this.#writing = writing.catch(() => {});
    return writing;
  }

  async #readText(): Promise<string | undefined> {
    const bytes = Buffer.alloc(MAX_BYTES);
    try {
      const file = await this.#fileSystem.open(this.path, 'read');
      try {
        return bytes.utf8Slice(0, await readFully(file, bytes, bytes.length, 0));
      } finally {
        await file.close();
      }
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw ioError('read', this.path, error);
    }
  }

  async #write(state: LogState): Promise<void> {
    const body = { format: FORMAT, version: VERSION, end: state.end, identity: state.identity };
    const text = `${JSON.stringify({ ...body, checksum: checksumOf(body) }, undefined, 2)}\n`;
    const path = this.path + NEW_SUFFIX;
    const file = await this.#fileSystem.open(path, 'create');
    try {
      await writeFully(file, [Buffer.from(text)], 0);
      await file.datasync();
    } finally {
      await file.close();
    }
    await this.#fileSystem.rename(path, this.path);
    await this.#fileSystem.fsyncDir(this.#dir);
  }

  #parse(text: string): LogState {
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch (error) {
      throw this.#unbelievable('it is no JSON', error);
    }
    const { checksum, ...body } = (parsed ?? {}) as Record<string, unknown>;
    if (body['format'] !== FORMAT) throw this.#unbelievable('it is no state file of an event log');
    if (body['version'] !== VERSION) {
      throw this.#unbelievable(
        `it has version ${JSON.stringify(body['version'])}, this program reads ${VERSION}`,
      );
    }
    if (checksum !== checksumOf(body)) throw this.#unbelievable('its checksum is wrong');
    return { end: body['end'] as number, identity: body['identity'] as LogIdentity | undefined };
  }

  #unbelievable(why: string, cause?: unknown): TailraceError {
    return stateError(this.path, why, cause);
  }
}

export function stateError(path: string, why: string, cause?: unknown): TailraceError {
  return new TailraceError({
    code: 'E_STATE',
    message: `The state file of the event log cannot be used: ${path}: ${why}.`,
    fix:
      'Restore the file from a copy if there is one. Otherwise move the whole log directory away and start again: ' +
      'delivery goes on by itself when every sink is at or past the replication slot, and names the sinks that are not.',
    cause,
  });
}

/** Of the JSON text of the other fields, in their order in the file. */
function checksumOf(body: object): string {
  return crc32(JSON.stringify(body)).toString(16).padStart(8, '0');
}
