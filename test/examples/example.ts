import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { parseDocument } from 'yaml';
import type { PipelineStatus } from '../../src/observe/status.ts';
import { freePort } from '../support/free-port.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { TailraceProcess } from '../support/tailrace-process.ts';
import { waitFor } from '../support/wait.ts';

export const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url));

export interface ExampleOptions {
  /** In examples/. */
  readonly file: string;
  /** SQL of the role that owns the database and runs the pipeline. */
  readonly setup: string;
  /** Instead of the example's: names on servers that other tests use too must be nobody else's. Default: the database's. */
  readonly pipeline?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Other values of the file, for names that do not follow the pipeline's. */
  readonly changes?: readonly (readonly [path: readonly (string | number)[], value: unknown])[] | undefined;
}

/** An example of examples/ with a database of its own, run by `tailrace run` as it is but for names and the port. */
export class RunningExample implements AsyncDisposable {
  readonly database: TestDatabase;
  readonly pipeline: string;
  /** Of the copy, and of what it writes with relative paths. */
  readonly dir: string;
  readonly #tailrace: TailraceProcess;
  readonly #owner: Client;
  readonly #adminPort: number;

  private constructor(
    database: TestDatabase,
    pipeline: string,
    dir: string,
    tailrace: TailraceProcess,
    owner: Client,
    adminPort: number,
  ) {
    this.database = database;
    this.pipeline = pipeline;
    this.dir = dir;
    this.#tailrace = tailrace;
    this.#owner = owner;
    this.#adminPort = adminPort;
  }

  /** Resolves when it streams. */
  static async start(options: ExampleOptions): Promise<RunningExample> {
    const database = await createTestDatabase({ owner: true });
    const dir = await mkdtemp(join(tmpdir(), 'tailrace-example-'));
    const pipeline = options.pipeline ?? database.name;
    const adminPort = await freePort();
    const config = join(dir, options.file);
    await writeFile(config, await named(options, pipeline, adminPort));
    const owner = new Client({ connectionString: database.url });
    owner.on('error', () => {});
    await owner.connect();
    await owner.query(options.setup);
    const tailrace = new TailraceProcess({
      config,
      env: { DATABASE_URL: database.url, DATA_DIR: join(dir, 'data'), ...options.env },
      adminPort,
      logFile: join(dir, 'tailrace.log'),
    });
    const example = new RunningExample(database, pipeline, dir, tailrace, owner, adminPort);
    try {
      tailrace.start();
      await tailrace.streaming(30_000).catch(async (cause: unknown) => {
        throw new Error(await readFile(join(dir, 'tailrace.log'), 'utf8'), { cause });
      });
      return example;
    } catch (error) {
      await example[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** As the owner of the tables. */
  async query(sql: string): Promise<void> {
    await this.#owner.query(sql);
  }

  /** Waits until every sink has what has been committed, then ends the pipeline in order. */
  async deliver(): Promise<void> {
    const { rows } = await this.database.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
    let status: PipelineStatus | undefined;
    await waitFor(
      async () => {
        status = await this.#tailrace.status();
        return (
          status?.sinks.every((sink) => sink.state === 'streaming' && sink.lag_bytes === 0) === true &&
          (await this.#isPast(status.source.received, rows[0]?.lsn ?? ''))
        );
      },
      { timeoutMs: 30_000, describe: () => `everything to arrive: ${JSON.stringify(status)}` },
    );
    const code = await this.#tailrace.stop();
    if (code !== 0) throw new Error(await readFile(join(this.dir, 'tailrace.log'), 'utf8'));
  }

  async #isPast(received: string, lsn: string): Promise<boolean> {
    const { rows } = await this.database.query<{ past: boolean }>('SELECT $1::pg_lsn >= $2::pg_lsn AS past', [
      received,
      lsn,
    ]);
    return rows[0]?.past === true;
  }

  /** The page for Prometheus. */
  async metrics(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.#adminPort}/metrics`);
    return response.text();
  }

  /** JSON lines of a file below the directory. */
  async lines(path: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const text = await readFile(join(this.dir, path), 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tailrace.kill();
    await this.#owner.end();
    await this.database[Symbol.asyncDispose]();
    await rm(this.dir, { recursive: true, force: true });
  }
}

async function named(options: ExampleOptions, pipeline: string, adminPort: number): Promise<string> {
  const document = parseDocument(await readFile(join(EXAMPLES, options.file), 'utf8'));
  document.set('pipeline', pipeline);
  document.setIn(['admin', 'port'], adminPort);
  for (const [path, value] of options.changes ?? []) {
    if (!document.hasIn(path.slice(0, -1)))
      throw new Error(`${options.file} has nothing at ${path.join('.')}`);
    document.setIn(path, value);
  }
  return document.toString();
}
