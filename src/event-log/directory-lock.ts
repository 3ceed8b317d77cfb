import { randomUUID } from 'node:crypto';
import { type FileHandle, link, open, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { TailraceError } from '../errors/tailrace-error.ts';
import type { AdminAddress } from './contract.ts';
import { errnoOf } from './file-system.ts';
import { ioError } from './log-errors.ts';
import { ownIdentity, type ProcessIdentity, stateOf } from './process-identity.ts';

const FILE_NAME = 'lock';
/** Holds the token of the admin server. */
const FILE_MODE = 0o600;
/** The owner touches the lock this often, for those who cannot see its process. */
const HEARTBEAT_MS = 1000;
/** An owner out of sight that has not touched the lock for this long is gone. */
const SILENCE_MS = 6000;
/** Racing starters change the lock under each other's eyes; this many times is more than any real race. */
const MAX_TRIES = 50;

/** What the lock file says of its owner. */
export interface LockOwner extends ProcessIdentity {
  /** ISO 8601, for people. */
  readonly since: string;
  /** Where commands that act on the running pipeline find it. */
  readonly admin?: AdminAddress | undefined;
}

interface LockContent extends LockOwner {
  /** Different for every lock ever taken. */
  readonly nonce: string;
}

export interface LockOptions {
  readonly dir: string;
  readonly clock: Clock;
  readonly heartbeatMs?: number | undefined;
  readonly silenceMs?: number | undefined;
  /** Called when somebody else has taken the lock: this process was stopped for so long that it was thought dead. */
  readonly onLost?: ((error: TailraceError) => void) | undefined;
}

/** Who holds the lock of an event log's directory, dead or alive; undefined when nobody does. */
export async function readLockOwner(dir: string): Promise<LockOwner | undefined> {
  return read(join(dir, FILE_NAME));
}

/**
 * Keeps a second process out of the directory. A lock whose owner is dead is taken over, by exactly one of those who try.
 *
 * The file appears whole, by link(2), which fails when there is one. A stale lock with nonce N is succeeded by whoever manages to make the
 * file `lock.N`, which then is renamed to `lock`; when that one dies on the way, its claim is succeeded in the same manner. A claim counts only if
 * the chain of files that led to it is still what it was: a starter that has read an old lock finds that out before it owns anything.
 */
export class DirectoryLock {
  readonly #path: string;
  readonly #options: LockOptions;
  readonly #heartbeatMs: number;
  readonly #silenceMs: number;
  readonly #stopped = new AbortController();
  #content: LockContent;
  #handle: FileHandle | undefined;
  #beating: Promise<void> | undefined;
  #verifiedMs = 0;
  #lost: TailraceError | undefined;

  private constructor(options: LockOptions) {
    this.#options = options;
    this.#path = join(options.dir, FILE_NAME);
    this.#heartbeatMs = options.heartbeatMs ?? HEARTBEAT_MS;
    this.#silenceMs = options.silenceMs ?? SILENCE_MS;
    this.#content = {
      ...ownIdentity(),
      since: new Date(options.clock.nowMs()).toISOString(),
      nonce: randomUUID(),
    };
  }

  /** Throws E_LOCKED, naming the owner, when a living process has it. */
  static async acquire(options: LockOptions): Promise<DirectoryLock> {
    const lock = new DirectoryLock(options);
    try {
      await lock.#acquire();
      lock.#handle = await open(lock.#path, 'r+');
    } catch (error) {
      throw error instanceof TailraceError ? error : ioError('lock', lock.#path, error);
    }
    lock.#verifiedMs = options.clock.monotonicMs();
    lock.#beating = lock.#beat();
    return lock;
  }

  /** Tells those who read the lock where this process can be spoken to. */
  async setAdmin(admin: AdminAddress): Promise<void> {
    await this.#check();
    if (this.#lost !== undefined) throw this.#lost;
    this.#content = { ...this.#content, admin };
    const path = await this.#writeDraft();
    await rename(path, this.#path);
    const old = this.#handle;
    this.#handle = await open(this.#path, 'r+');
    await old?.close();
  }

  /** Rejects when the lock is not ours any more. Cheap while the last look is not long ago. */
  async assertOwned(): Promise<void> {
    if (this.#options.clock.monotonicMs() - this.#verifiedMs > this.#silenceMs / 2) await this.#check();
    if (this.#lost !== undefined) throw this.#lost;
  }

  async release(): Promise<void> {
    this.#stopped.abort();
    await this.#beating;
    await this.#check().catch(() => {});
    await this.#handle?.close();
    this.#handle = undefined;
    if (this.#lost === undefined) await unlink(this.#path).catch(() => {});
  }

  async #acquire(): Promise<void> {
    const draft = await this.#writeDraft();
    try {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        if ((await this.#claim(draft, this.#path)) || (await this.#succeed(draft))) return;
      }
      throw locked(await readLockOwner(this.#options.dir));
    } finally {
      await unlink(draft).catch(() => {});
    }
  }

  /** Takes over from a dead owner; false when things changed meanwhile. */
  async #succeed(draft: string): Promise<boolean> {
    const chain: { readonly path: string; readonly nonce: string }[] = [];
    for (let path = this.#path; ; ) {
      const owner = await read(path);
      if (owner === undefined) return false;
      if (!(await this.#isDead(owner, path))) throw locked(owner);
      chain.push({ path, nonce: owner.nonce });
      path = `${this.#path}.${owner.nonce}`;
      if (!(await this.#claim(draft, path))) continue;
      for (const link of chain) {
        if ((await read(link.path))?.nonce === link.nonce) continue;
        await unlink(path);
        return false;
      }
      await rename(path, this.#path);
      for (const link of chain.slice(1)) await unlink(link.path).catch(() => {});
      return true;
    }
  }

  async #claim(draft: string, path: string): Promise<boolean> {
    try {
      await link(draft, path);
      return true;
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      throw error;
    }
  }

  async #isDead(owner: LockContent, path: string): Promise<boolean> {
    const state = stateOf(owner);
    if (state !== 'unknown') return state === 'dead';
    // In another container or on another host: it is alive as long as it touches its file.
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + this.#silenceMs;
    const before = await touchedAt(path);
    while (clock.monotonicMs() < untilMs) {
      await clock.sleep(Math.min(this.#silenceMs / 10, untilMs - clock.monotonicMs()));
      if ((await touchedAt(path)) !== before) return false;
    }
    return true;
  }

  async #writeDraft(): Promise<string> {
    const path = `${this.#path}.${randomUUID()}.draft`;
    const handle = await open(path, 'wx', FILE_MODE);
    try {
      await handle.writeFile(`${JSON.stringify(this.#content, undefined, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return path;
  }

  async #beat(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#stopped.signal.aborted && this.#lost === undefined) {
      await clock.sleep(this.#heartbeatMs, this.#stopped.signal).catch(() => {});
      if (this.#stopped.signal.aborted) return;
      const now = new Date(clock.nowMs());
      await this.#handle?.utimes(now, now).catch(() => {});
      await this.#check().catch(() => {});
    }
  }

  /** Looks whether the file is still ours. */
  async #check(): Promise<void> {
    const content = await read(this.#path);
    if (content?.nonce === this.#content.nonce) {
      this.#verifiedMs = this.#options.clock.monotonicMs();
      return;
    }
    if (this.#lost !== undefined) return;
    this.#lost = lostTo(this.#path, content);
    this.#options.onLost?.(this.#lost);
  }
}

async function touchedAt(path: string): Promise<string> {
  try {
    const { mtimeNs, ino } = await stat(path, { bigint: true });
    return `${ino} ${mtimeNs}`;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'gone';
    throw error;
  }
}

async function read(path: string): Promise<LockContent | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const content = JSON.parse(text) as LockContent;
    if (typeof content.pid === 'number' && typeof content.nonce === 'string') return content;
  } catch {
    // Said below.
  }
  // The file appears whole: this is none of ours, or a disk has lost its content.
  throw new TailraceError({
    code: 'E_LOCKED',
    message: `The lock file ${path} cannot be read: it is damaged, or another program's.`,
    fix: `Make sure that no other process works on this directory, then remove the file: rm ${path}`,
  });
}

function locked(owner: LockOwner | undefined): TailraceError {
  const who =
    owner === undefined
      ? 'Another process is'
      : `Process ${owner.pid} on ${owner.host} has been working on this event log since ${owner.since}` +
        (owner.admin === undefined ? '' : ` (admin server: ${owner.admin.url})`);
  return new TailraceError({
    code: 'E_LOCKED',
    message: owner === undefined ? `${who} just taking this event log.` : `${who}.`,
    fix: 'Stop that process, or give this pipeline a directory of its own (event_log.dir).',
  });
}

function lostTo(path: string, owner: LockOwner | undefined): TailraceError {
  const who = owner === undefined ? 'somebody removed it' : `process ${owner.pid} on ${owner.host} has it`;
  return new TailraceError({
    code: 'E_LOCKED',
    message: `The lock ${path} is not ours any more: ${who}. This process stops writing.`,
    fix: 'It was stopped or cut off for so long that it was thought dead; the other process goes on. Never remove the lock of a running pipeline.',
  });
}
