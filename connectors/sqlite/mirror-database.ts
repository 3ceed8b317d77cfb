import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Rejection } from '../../src/delivery/sink.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import type { StoredCheckpoint } from '../../src/events/position.ts';
import type { MirrorTable } from './mirror-table.ts';
import { MirrorWriter, type SchemaNote } from './mirror-writer.ts';
import type { Owner } from './reconcile-schema.ts';
import { translateError } from './sqlite-errors.ts';
import { CATALOG_SQL } from './stored-mirror.ts';

export interface MirrorDatabaseOptions {
  readonly path: string;
  readonly busyTimeoutMs: number;
  readonly owner: Owner;
  /** Cluster and database of the source, without the generation. */
  readonly database: string;
  /** Fresh for every open: whoever opened last may write. */
  readonly session: string;
}

export interface PackedBatch {
  readonly bytes: Buffer;
  readonly to: StoredCheckpoint;
}

/** Raised when a stored form changes meaning; a file of a later version is refused. */
const FORMAT = 1;
const CACHE_KIB = 32 * 1024;
const WAL_LIMIT_BYTES = 64 * 1024 * 1024;

const SCHEMA_SQL = `
  CREATE TABLE IF NOT EXISTS _tailrace_format (version INTEGER NOT NULL) STRICT;
  INSERT INTO _tailrace_format SELECT ${FORMAT} WHERE NOT EXISTS (SELECT 1 FROM _tailrace_format);
  CREATE TABLE IF NOT EXISTS _tailrace_positions (
    pipeline TEXT NOT NULL, sink TEXT NOT NULL, session TEXT NOT NULL,
    database TEXT NOT NULL,
    commit_lsn TEXT, seq INTEGER, end_lsn TEXT, source TEXT,
    PRIMARY KEY (pipeline, sink)
  ) STRICT;
  ${CATALOG_SQL}`;

/**
 * The database file of one sink: its position, its session and its mirrors, always moved together in one transaction.
 * Synchronous, for a worker thread. Throws TailraceErrors.
 */
export class MirrorDatabase {
  readonly #options: MirrorDatabaseOptions;
  readonly #db: DatabaseSync;
  readonly #writer: MirrorWriter;
  readonly checkpoint: StoredCheckpoint | undefined;

  constructor(options: MirrorDatabaseOptions) {
    this.#options = options;
    let db: DatabaseSync | undefined;
    try {
      mkdirSync(dirname(options.path), { recursive: true });
      db = new DatabaseSync(options.path, { timeout: options.busyTimeoutMs });
      // Readers go on while a batch is written, and see all of it or nothing. https://www.sqlite.org/wal.html
      db.exec('PRAGMA journal_mode = WAL');
      db.exec('PRAGMA synchronous = FULL');
      db.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
      db.exec(`PRAGMA journal_size_limit = ${WAL_LIMIT_BYTES}`);
      this.#db = db;
      this.#writer = new MirrorWriter(db, options.owner);
      this.checkpoint = this.#transaction(() => this.#takeOver());
    } catch (thrown) {
      db?.close();
      throw this.#translate(thrown);
    }
  }

  define(mirror: number, table: MirrorTable): void {
    this.#writer.define(mirror, table);
  }

  /** All of the batch and its position, or, when anything is rejected, nothing. */
  write({ bytes, to }: PackedBatch): { rejected: Rejection[]; notes: SchemaNote[] } {
    const { owner, session } = this.#options;
    try {
      return this.#transaction(() => {
        const moved = this.#db
          .prepare(
            `UPDATE _tailrace_positions SET commit_lsn = ?, seq = ?, end_lsn = ?, source = ?
             WHERE pipeline = ? AND sink = ? AND session = ?`,
          )
          .run(to.commit_lsn, to.seq, to.end_lsn, to.source, owner.pipeline, owner.sink, session);
        if (moved.changes === 0) throw this.#fenced();
        const result = this.#writer.write(bytes);
        if (result.rejected.length > 0) throw new Rejected(result.rejected);
        return result;
      });
    } catch (thrown) {
      this.#writer.forget();
      if (thrown instanceof Rejected) return { rejected: thrown.rejections, notes: [] };
      throw this.#translate(thrown);
    }
  }

  close(): void {
    this.#db.close();
  }

  /** Makes this session the one that may write, and returns where the last one stood. */
  #takeOver(): StoredCheckpoint | undefined {
    const { owner, path, session, database } = this.#options;
    this.#db.exec(SCHEMA_SQL);
    const { version } = this.#db.prepare('SELECT version FROM _tailrace_format').get() as { version: number };
    if (version > FORMAT) {
      throw new TailraceError({
        code: 'E_SINK_CONFIG',
        message: `${path} was written by a later version of Tailrace (format ${version}, known is ${FORMAT}).`,
        fix: 'Run that version, or give the sink another `path`.',
      });
    }
    const stored = this.#db
      .prepare('SELECT * FROM _tailrace_positions WHERE pipeline = ? AND sink = ?')
      .get(owner.pipeline, owner.sink);
    if (stored !== undefined && stored['database'] !== database) {
      throw new TailraceError({
        code: 'E_SINK_FOREIGN',
        message: `${path} holds the position of sink ${owner.sink} in another database: ${String(stored['database'])}, not ${database}.`,
        fix: 'Give the sink another `path`, or move the file away so that it is made anew.',
      });
    }
    this.#db
      .prepare(
        `INSERT INTO _tailrace_positions (pipeline, sink, session, database) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET session = excluded.session`,
      )
      .run(owner.pipeline, owner.sink, session, database);
    if (stored === undefined || stored['commit_lsn'] === null) return undefined;
    return {
      commit_lsn: stored['commit_lsn'] as string,
      seq: stored['seq'] as number,
      end_lsn: stored['end_lsn'] as string,
      source: stored['source'] as string,
    };
  }

  #transaction<T>(work: () => T): T {
    // The write lock is taken before anything is read: no upgrade that could fail half-way.
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.#db.exec('COMMIT');
      return result;
    } catch (thrown) {
      // SQLite ends the transaction itself after some errors. https://www.sqlite.org/lang_transaction.html
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw thrown;
    }
  }

  #fenced(): TailraceError {
    const { owner, path } = this.#options;
    return new TailraceError({
      code: 'E_FENCED',
      message: `Another instance has opened ${path} for sink ${owner.sink} of pipeline ${owner.pipeline}.`,
      fix: 'Let only one instance of a pipeline run.',
    });
  }

  #translate(thrown: unknown): unknown {
    const { path } = this.#options;
    const code =
      (thrown as NodeJS.ErrnoException).syscall === undefined
        ? undefined
        : (thrown as NodeJS.ErrnoException).code;
    if (code === undefined) return translateError(thrown, path);
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    return new TailraceError({
      code: full ? 'E_SINK_UNAVAILABLE' : 'E_SINK_CONFIG',
      message: `The directory of ${path} cannot be made (${code}).`,
      cause: thrown,
      retriable: full,
    });
  }
}

/** Carries refused items out of a transaction that is to be undone. */
class Rejected extends Error {
  readonly rejections: Rejection[];

  constructor(rejections: Rejection[]) {
    super('items were rejected');
    this.rejections = rejections;
  }
}
