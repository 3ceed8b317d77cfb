import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { javaEnvironment } from './java.ts';
import { ServerUnavailableError } from './servers.ts';

/** Downloaded servers stay here, outside the checkout. */
export function serviceCache(): string {
  return resolve(process.env['TAILRACE_SERVICES_CACHE'] ?? join(homedir(), '.cache', 'tailrace-services'));
}

/**
 * The directory `name` of the cache, built by `build` when it is not there yet. Other processes wait meanwhile;
 * it appears by one rename, so what is there is whole. What Maven has fetched is kept over a failed attempt.
 */
export async function cached(name: string, build: (into: string) => Promise<void>): Promise<string> {
  const cache = serviceCache();
  const directory = join(cache, name);
  if (existsSync(directory)) return directory;
  await mkdir(cache, { recursive: true });
  await withLock(join(cache, `.${name}.lock`), async () => {
    if (existsSync(directory)) return;
    const building = await mkdtemp(join(cache, `.${name}-`));
    try {
      await build(building);
      // mkdtemp makes it 0700, but a server may run as another user.
      await chmod(building, 0o755);
      await rename(building, directory);
    } finally {
      await rm(building, { recursive: true, force: true });
    }
  });
  return directory;
}

/** Runs Maven with a repository inside the cache; tries again, since what is complete is not fetched twice. */
export async function maven(args: readonly string[], logFile: string, attempts = 3): Promise<void> {
  const repository = `-Dmaven.repo.local=${join(serviceCache(), 'm2')}`;
  for (let attempt = 1; ; attempt += 1) {
    const { code, output } = await runToEnd('mvn', ['--batch-mode', '--quiet', repository, ...args]);
    if (code === 0) return;
    await writeFile(logFile, output, { flag: 'a' });
    if (code === 'ENOENT') {
      throw new ServerUnavailableError(
        'mvn is not installed',
        'install Maven (Debian: apt-get install maven), or Docker',
      );
    }
    if (attempt === attempts) {
      const tail = output.trimEnd().split('\n').slice(-5).join('\n');
      throw new ServerUnavailableError(
        `mvn failed ${attempts} times (${code}):\n${tail}`,
        'see that Maven Central can be reached',
      );
    }
    await delay(2000 * attempt);
  }
}

export async function runToEnd(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string | undefined } = {},
): Promise<{ readonly code: number | string; readonly output: string }> {
  return new Promise((done) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: javaEnvironment(),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
    const output = (): string => Buffer.concat(chunks).toString('utf8');
    child.once('error', (error: NodeJS.ErrnoException) =>
      done({ code: error.code ?? error.name, output: output() }),
    );
    child.once('close', (code, signal) => done({ code: code ?? signal ?? 'unknown', output: output() }));
  });
}

const heartbeatMs = 2000;
const staleMs = 20_000;

/** A directory as the lock: its holder touches it, and one left behind by a dead holder goes stale, also across containers. */
async function withLock(path: string, work: () => Promise<void>): Promise<void> {
  while (!(await tryLock(path))) await delay(250);
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, heartbeatMs);
  try {
    await work();
  } finally {
    clearInterval(heartbeat);
    await rm(path, { recursive: true, force: true });
  }
}

async function tryLock(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const held = await stat(path).catch(() => undefined);
  if (held !== undefined && Date.now() - held.mtimeMs > staleMs) {
    // Of several that see it stale one wins the rename; the others look again.
    const grave = `${path}.${process.pid}.stale`;
    await rename(path, grave).catch(() => {});
    await rm(grave, { recursive: true, force: true });
  }
  return false;
}
