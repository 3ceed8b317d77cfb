import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from './wait.ts';

const root = resolve(import.meta.dirname, '../..');

/** Everything the run under test starts lies below, and may be readable by the server's user. */
let directory: string;
let runner: ChildProcess | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tailrace-leftovers-'));
});

afterEach(async () => {
  runner?.kill('SIGKILL');
  runner = undefined;
  await rm(directory, { recursive: true, force: true, maxRetries: 5 });
});

function run(...args: readonly string[]): ChildProcess {
  const { VITEST: _, TAILRACE_TEST_POSTGRES_URL: __, TAILRACE_TEST_SUMMARY: ___, ...env } = process.env;
  runner = spawn(process.execPath, args, {
    cwd: root,
    stdio: 'ignore',
    env: { ...env, TMPDIR: directory, DOCKER_HOST: 'unix:///nonexistent' },
  });
  return runner;
}

function vitest(): ChildProcess {
  return run('node_modules/vitest/vitest.mjs', 'run', 'test/support/postgres.pg.test.ts');
}

function serverDirectories(): readonly string[] {
  return readdirSync(directory).filter((name) => name.startsWith('tailrace-postgres-'));
}

/** Of the postmaster, once it accepts connections. */
async function serverPid(): Promise<number> {
  return waitFor(
    () => {
      const [name = ''] = serverDirectories();
      const lines = readFileSync(join(directory, name, 'data', 'postmaster.pid'), 'utf8').split('\n');
      return lines[7]?.trim() === 'ready' && Number(lines[0]);
    },
    { timeoutMs: 30_000, describe: 'the server to start' },
  );
}

function isRunning(pid: number): boolean {
  const status = `/proc/${pid}/status`;
  if (process.platform === 'linux') {
    return existsSync(status) && !/^State:\s+[ZX]/m.test(readFileSync(status, 'utf8'));
  }
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function expectNothingLeft(pid: number): Promise<void> {
  await waitFor(() => !isRunning(pid), { timeoutMs: 15_000, describe: 'the server to be gone' });
  await waitFor(() => serverDirectories().length === 0, {
    timeoutMs: 15_000,
    describe: () => `the directories to be gone: ${serverDirectories().join(', ')}`,
  });
}

test('a run that ends leaves nothing', async () => {
  const finished = once(vitest(), 'exit');
  const pid = await serverPid();
  expect(await finished).toEqual([0, null]);
  expect(isRunning(pid)).toBe(false);
  expect(serverDirectories()).toEqual([]);
});

test.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)('a run ended by %s leaves nothing', async (signal) => {
  const vitestRun = vitest();
  const pid = await serverPid();
  vitestRun.kill(signal);
  await expectNothingLeft(pid);
});

test('neither does a program that crashes with a server running', async () => {
  const script = `
    import { startLocalPostgres } from './test/support/local-postgres.ts';
    await startLocalPostgres();
    throw new Error('crash');`;
  const crashed = once(run('--input-type=module-typescript', '--eval', script), 'exit');
  const pid = await serverPid();
  expect(await crashed).toEqual([1, null]);
  await expectNothingLeft(pid);
});
