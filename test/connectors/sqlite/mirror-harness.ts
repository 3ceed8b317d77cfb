import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { type SqliteMapping, sqliteMapping } from '../../../connectors/sqlite/config.ts';
import type { SqliteRoute } from '../../../connectors/sqlite/pack-batch.ts';
import { sqliteConnector } from '../../../connectors/sqlite/sqlite-connector.ts';
import type { Mapping, Sink, SinkContext } from '../../../src/delivery/sink.ts';
import type { Checkpoint } from '../../../src/events/position.ts';
import { mapping, sinkContext } from '../batch-builder.ts';
import { Delivery } from '../deliver.ts';

export type Options = Parameters<typeof sqliteMapping.parse>[0];

export interface OpenMirror {
  readonly sink: Sink<SqliteRoute>;
  readonly delivery: Delivery<SqliteRoute>;
  readonly stored: Checkpoint | undefined;
}

/** A database file in a directory of its own, and the sinks that were opened on it. */
export class MirrorFile implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'tailrace-sqlite-'));
  readonly path = join(this.dir, 'mirror.db');
  readonly #sinks: Sink<SqliteRoute>[] = [];

  /** A sink on the file, as a run of the pipeline would open it. */
  async open(
    mappings: readonly Mapping[] = [toMirror()],
    context: Partial<SinkContext> = {},
  ): Promise<OpenMirror> {
    const sink = sqliteConnector.create(
      sqliteConnector.config.parse({ path: this.path }),
      sinkContext({ dataDir: this.dir, ...context }),
    );
    this.#sinks.push(sink);
    const stored = await sink.open(new AbortController().signal);
    return { sink, delivery: new Delivery(sink, mappings), stored };
  }

  /** What a reader sees; integers as bigint. */
  rows(sql: string, ...values: (string | number | bigint)[]): Record<string, SQLOutputValue>[] {
    const db = new DatabaseSync(this.path, { timeout: 5000 });
    try {
      const statement = db.prepare(sql);
      statement.setReadBigInts(true);
      return statement.all(...values).map((row) => ({ ...row }));
    } finally {
      db.close();
    }
  }

  run(sql: string): void {
    const db = new DatabaseSync(this.path, { timeout: 5000 });
    try {
      db.exec(sql);
    } finally {
      db.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sink of this.#sinks) await sink.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export function toMirror(options: Options = {}, where = 'tailrace.yaml:12:9'): Mapping<SqliteMapping> {
  return mapping({ sink: 'mirror', where, options: sqliteMapping.parse(options) });
}
