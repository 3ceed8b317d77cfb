import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { registry } from '../../src/app/registry.ts';
import { Runtime } from '../../src/app/runtime.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { asTailraceError, type TailraceError } from '../../src/errors/tailrace-error.ts';
import { parseLsn } from '../../src/events/lsn.ts';
import type { PipelineStatus } from '../../src/observe/status.ts';
import { type LoggedLine, recordingLogger } from '../observe/recording-logger.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { waitFor } from '../support/wait.ts';

export interface HarnessOptions {
  /** SQL of the superuser before anything runs. */
  readonly setup: string;
  /** YAML below `source:`, indented by two; the URL is given. */
  readonly source?: string | undefined;
  /** Another server than the run's. */
  readonly database?: TestDatabase | undefined;
}

export interface RunOptions {
  readonly without?: readonly string[] | undefined;
  /** YAML instead of the default sinks (a file and a mirror), and of what the table is mapped to. */
  readonly sinks?: string | undefined;
  readonly to?: string | undefined;
  readonly source?: string | undefined;
  readonly url?: string | undefined;
  readonly more?: string | undefined;
  /** Instead of `event_log: { dir: log }`. */
  readonly log?: string | undefined;
}

/**
 * A pipeline in this process over table `public.t (id int primary key, v text)`, into a file and a SQLite mirror, which can be
 * stopped, looked at, damaged and started again.
 */
export class PipelineHarness implements AsyncDisposable {
  readonly database: TestDatabase;
  readonly dir: string;
  readonly #options: HarnessOptions;
  readonly #running: RunningPipeline[] = [];
  #nextId = 1;

  private constructor(database: TestDatabase, dir: string, options: HarnessOptions) {
    this.database = database;
    this.dir = dir;
    this.#options = options;
  }

  static async open(options: Partial<HarnessOptions> = {}): Promise<PipelineHarness> {
    const setup = options.setup ?? '';
    const database = options.database ?? (await createTestDatabase({ create: true }));
    await database.query(
      `CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE unpublished (id int); ${setup}`,
    );
    // As tailrace sql prints it: managing a publication takes the rights of the tables' owners.
    await database.query(`ALTER TABLE t OWNER TO ${database.role}`);
    const dir = await mkdtemp(join(tmpdir(), 'tailrace-pipeline-'));
    return new PipelineHarness(database, dir, { ...options, setup });
  }

  get slot(): string {
    return `tailrace_${this.database.name}`;
  }

  get logDir(): string {
    return join(this.dir, 'log');
  }

  config(options: RunOptions = {}): string {
    return `
pipeline: ${this.database.name}
source:
  url: "${options.url ?? this.database.url}"
${options.source ?? this.#options.source ?? ''}
${options.log ?? 'event_log: { dir: log }'}
sinks:
${options.sinks ?? '  files: { type: file, path: files }\n  mirror: { type: sqlite, path: mirror.db, busy_timeout: 100ms }'}
tables:
  public.t: { to: ${options.to ?? '[files, mirror]'} }
admin: { port: 0 }
${options.more ?? ''}
`;
  }

  start(options: RunOptions = {}): RunningPipeline {
    const running = new RunningPipeline(this.dir, this.config(options), options);
    this.#running.push(running);
    return running;
  }

  /** Inserts rows in a transaction each; their ids. */
  async insert(count = 1): Promise<readonly number[]> {
    const ids = Array.from({ length: count }, () => this.#nextId++);
    for (const id of ids) await this.database.query('INSERT INTO t VALUES ($1, $2)', [id, `row ${id}`]);
    return ids;
  }

  /** Rows of 100 KiB that compression cannot shrink. */
  async insertWide(count: number): Promise<readonly number[]> {
    const ids = Array.from({ length: count }, () => this.#nextId++);
    await this.database.query(
      `INSERT INTO t SELECT id, (SELECT string_agg(md5(random()::text || g), '') FROM generate_series(1, 3200) g) FROM unnest($1::int[]) id`,
      [ids],
    );
    return ids;
  }

  /** Ids of the lines in the file sink, in their order. */
  async fileIds(): Promise<readonly number[]> {
    const names = (await readdir(join(this.dir, 'files')).catch(() => [])).filter((name) =>
      name.endsWith('.ndjson'),
    );
    const texts = await Promise.all(names.map((name) => readFile(join(this.dir, 'files', name), 'utf8')));
    return texts.flatMap((text) =>
      text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { after: { id: number } }).after.id),
    );
  }

  mirrorIds(): readonly number[] {
    try {
      using mirror = new DatabaseSync(join(this.dir, 'mirror.db'), { readOnly: true });
      return mirror
        .prepare('SELECT id FROM t ORDER BY id')
        .all()
        .map((row) => (row as { id: number }).id);
    } catch {
      return [];
    }
  }

  /** Holds the mirror's write lock, as another program might: the sink is not available until it is released. */
  lockMirror(): Disposable {
    const mirror = new DatabaseSync(join(this.dir, 'mirror.db'));
    mirror.exec('BEGIN EXCLUSIVE');
    return { [Symbol.dispose]: () => mirror.close() };
  }

  async confirmed(): Promise<bigint> {
    const { rows } = await this.database.query<{ lsn: string }>(
      'SELECT confirmed_flush_lsn AS lsn FROM pg_replication_slots WHERE slot_name = $1',
      [this.slot],
    );
    return parseLsn(rows[0]?.lsn ?? '0/0');
  }

  async walEnd(): Promise<bigint> {
    const { rows } = await this.database.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
    return parseLsn(rows[0]?.lsn ?? '0/0');
  }

  async slotReleased(): Promise<void> {
    await waitFor(async () => {
      const { rows } = await this.database.query(
        'SELECT 1 FROM pg_replication_slots WHERE slot_name = $1 AND active',
        [this.slot],
      );
      return rows.length === 0;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#running) await running.kill();
    await rm(this.dir, { recursive: true, force: true });
    await this.database[Symbol.asyncDispose]();
  }
}

/** One run, from start to its end. */
export class RunningPipeline {
  readonly logged: LoggedLine[] = [];
  readonly #drain = new AbortController();
  readonly #kill = new AbortController();
  readonly #ended: Promise<TailraceError | undefined>;
  #runtime: Runtime | undefined;

  constructor(dir: string, text: string, options: RunOptions) {
    this.#ended = this.#run(dir, text, options).then(
      () => undefined,
      (error: unknown) => asTailraceError(error),
    );
  }

  get status(): PipelineStatus | undefined {
    return this.#runtime?.status;
  }

  /** Rejects when it ends before it streams. */
  async streaming(): Promise<void> {
    await this.until((status) => status.state === 'streaming' && status.source.connected, 'to stream');
  }

  /** Waits for a state; an end before it is an error. */
  async until(
    condition: (status: PipelineStatus) => boolean | Promise<boolean>,
    what: string,
  ): Promise<void> {
    let ended: TailraceError | 'ended' | undefined;
    void this.#ended.then((error) => {
      ended = error ?? 'ended';
    });
    await waitFor(
      async () => {
        if (ended !== undefined) throw ended === 'ended' ? new Error('The pipeline has ended') : ended;
        const { status } = this;
        return status !== undefined && (await condition(status));
      },
      {
        timeoutMs: 20_000,
        describe: () => `the pipeline ${what}: ${JSON.stringify(this.status, undefined, 1)}`,
      },
    );
  }

  /** SIGTERM's way; the error it ends with. */
  async stop(): Promise<TailraceError | undefined> {
    this.#drain.abort();
    return this.#ended;
  }

  /** Without a drain: what is not durable is lost. */
  async kill(): Promise<void> {
    this.#kill.abort(new Error('killed by the test'));
    await this.#ended;
  }

  /** How it ends by itself. */
  get ended(): Promise<TailraceError | undefined> {
    return this.#ended;
  }

  async #run(dir: string, text: string, options: RunOptions): Promise<void> {
    const config = loadConfig({ file: join(dir, 'tailrace.yaml'), text, env: {}, registry });
    await using runtime = await Runtime.start({
      config,
      without: options.without,
      logger: recordingLogger(this.logged),
    });
    this.#runtime = runtime;
    await runtime.run({ drain: this.#drain.signal, kill: this.#kill.signal });
  }
}
