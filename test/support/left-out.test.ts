import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { runToEnd } from './service-cache.ts';

const root = resolve(import.meta.dirname, '../..');

/** A run on a machine that has no Kafka: nothing downloaded, no Maven, no Docker. */
async function runWithoutKafka(
  env: NodeJS.ProcessEnv,
  ...files: readonly string[]
): Promise<{ code: number | null; lines: readonly string[]; summary: unknown }> {
  const directory = await mkdtemp(join(tmpdir(), 'tailrace-left-out-'));
  try {
    const { CI: _, VITEST: __, TAILRACE_TEST_KAFKA_BROKERS: ___, ...rest } = process.env;
    const summary = join(directory, 'summary.json');
    const child = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...files], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...rest,
        ...env,
        NO_COLOR: '1',
        PATH: directory,
        DOCKER_HOST: 'unix:///nonexistent',
        TAILRACE_SERVICES_CACHE: join(directory, 'cache'),
        TAILRACE_TEST_SUMMARY: summary,
      },
    });
    const chunks: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    const code = await new Promise<number | null>((closed) => child.once('close', closed));
    const output = Buffer.concat(chunks).toString('utf8').trimEnd();
    const text = await readFile(summary, 'utf8').catch(() => 'null');
    return { code, lines: output.split('\n'), summary: JSON.parse(text) };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const files = ['test/support/wait.test.ts', 'test/support/kafka.kafka.test.ts'];

test('what a missing server leaves out is named at the end, with how to get it', async () => {
  const { code, lines, summary } = await runWithoutKafka({}, ...files);
  expect(lines.at(-1)).toMatch(/^\d+ passed, 0 failed$/);
  expect(lines.at(-2)).toMatch(/^ {2}To run them: install .*Maven/);
  expect(lines.at(-3)).toBe('  test/support/kafka.kafka.test.ts');
  expect(lines.at(-4)).toMatch(/^LEFT OUT, kafka cannot be had: /);
  expect(code).toBe(0);
  expect(summary).toMatchObject({ failed: 0 });
});

test('where CI is set, a missing server fails the run', async () => {
  const { code, lines } = await runWithoutKafka({ CI: 'true' }, ...files);
  expect(code).toBe(1);
  expect(lines.join('\n')).toMatch(/mvn is not installed|there is none/);
});

test('a run in which nothing was left to do fails', async () => {
  const { code, lines } = await runWithoutKafka({}, 'test/support/kafka.kafka.test.ts');
  expect(code).toBe(1);
  expect(lines.at(-1)).toBe('0 passed, 0 failed');
});

test('a program that is not there is told from one that fails', async () => {
  expect((await runToEnd('/nonexistent/program', [])).code).toBe('ENOENT');
  expect((await runToEnd(process.execPath, ['-e', 'process.exit(3)'])).code).toBe(3);
});
