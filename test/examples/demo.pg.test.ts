import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { waitFor } from '../support/wait.ts';

const MAIN = fileURLToPath(new URL('../../examples/demo/main.ts', import.meta.url));

interface Run {
  readonly process: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<number | null>;
}

/** Never outlives its test. */
function demo(...args: readonly string[]): Run {
  let output = '';
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (code) => resolve(code));
  });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { process: child, output: () => output, ended };
}

test('kills the connector on the way, and finds index and history equal to the tables', async () => {
  const run = demo('--seconds', '6');
  const code = await run.ended;
  const output = run.output();
  expect(code, output).toBe(0);
  for (const table of ['customers', 'products', 'orders', 'order_lines']) {
    expect(output).toMatch(new RegExp(`${table} +[\\d,]+ +equal +equal\\n`));
  }
  expect(output).toMatch(/History: [\d,]+ events, each once, in the order of its row\n/);
  expect(output).toMatch(
    /Equal, row by row: PostgreSQL, .*\n +after [\d,]+ transactions .* and one SIGKILL\./,
  );
  expect(output).toMatch(/Search for “oak lamp” in the SQLite index:\n +Oak table lamp /);
  const left = readdirSync(tmpdir()).filter((name) => name.startsWith(`tailrace-demo-${run.process.pid}-`));
  expect(left).toEqual([]);
}, 90_000);

test('goes to the verdict at once when it is interrupted', async () => {
  const run = demo('--seconds', '600');
  await waitFor(() => / {2}streaming +[1-9]/.test(run.output()), {
    timeoutMs: 60_000,
    describe: () => `the demo to show events:\n${run.output()}`,
  });
  run.process.kill('SIGINT');
  expect(await run.ended, run.output()).toBe(0);
  expect(run.output()).toMatch(
    /Equal, row by row: PostgreSQL, .*\n +after [\d,]+ transactions \([\d,]+ more were rolled back\)\.\n/,
  );
}, 90_000);

test('says what it takes', async () => {
  const run = demo('--sekonds', '6');
  expect(await run.ended).toBe(2);
  expect(run.output()).toContain('--seconds N');
});
