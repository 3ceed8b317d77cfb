import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { TailraceError } from '../../src/errors/tailrace-error.ts';

const LOCK = '.tailrace-lock';
const HOLDER = '.tailrace-lock.json';
/** https://www.sqlite.org/rescode.html#busy */
const SQLITE_BUSY = 5;

/** A lock must not end because nobody looks at it any more and its connection is collected as garbage. */
const held = new Set<DatabaseSync>();

/**
 * Keeps every other process out of a directory, for as long as this one lives and not a moment longer: a lock of the operating system,
 * which Node.js has no call for but SQLite takes on its files. No process number is trusted that may long belong to another process,
 * or to another container. https://www.sqlite.org/lockingv3.html
 */
export class DirectoryLock {
  readonly #database: DatabaseSync;

  /** Throws E_LOCKED naming the holder. */
  constructor(dir: string, about: Readonly<Record<string, string>>) {
    const database = new DatabaseSync(join(dir, LOCK), { timeout: 0 });
    try {
      database.exec('BEGIN EXCLUSIVE');
    } catch (thrown) {
      database.close();
      if (((thrown as { errcode?: number }).errcode ?? 0) % 256 !== SQLITE_BUSY) throw thrown;
      throw new TailraceError({
        code: 'E_LOCKED',
        message: `Another process writes into ${dir}: ${describeHolder(dir)}.`,
        fix: 'Let only one instance of the pipeline run, or give this sink another `path`.',
      });
    }
    this.#database = database;
    held.add(database);
    const holder = { pid: process.pid, host: hostname(), since: new Date().toISOString(), ...about };
    try {
      writeFileSync(join(dir, HOLDER), `${JSON.stringify(holder)}\n`);
    } catch (thrown) {
      this.release();
      throw thrown;
    }
  }

  release(): void {
    held.delete(this.#database);
    if (this.#database.isOpen) this.#database.close();
  }
}

/** Only for people: the lock itself is not in this file. */
function describeHolder(dir: string): string {
  try {
    const { pid, host, since, pipeline } = JSON.parse(readFileSync(join(dir, HOLDER), 'utf8')) as Record<
      string,
      unknown
    >;
    return `process ${pid} on ${host}, pipeline ${pipeline}, since ${since}`;
  } catch {
    return 'it has not left its name';
  }
}
