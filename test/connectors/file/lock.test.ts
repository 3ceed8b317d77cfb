import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { DirectoryLock } from '../../../connectors/file/directory-lock.ts';
import { waitFor } from '../../support/wait.ts';
import { KillableWriter } from '../killable-writer.ts';
import { seededTransactions, Workload } from '../workload.ts';
import { Directory } from './file-harness.ts';

const writer = new URL('./history-writer-process.ts', import.meta.url);

test('a second instance is kept out and told who is in, until the first is dead', async () => {
  await using dir = new Directory();
  const first = new KillableWriter(writer, [dir.dir, '{}', '7', '3', 'stay']);
  await waitFor(() => first.lines.includes('staying'));
  const locked = {
    code: 'E_LOCKED',
    exitCode: 6,
    retriable: false,
    message: expect.stringMatching(new RegExp(`process ${first.pid} on .*, pipeline shop`)) as string,
  };
  await expect(dir.open()).rejects.toMatchObject(locked);
  const second = new KillableWriter(writer, [dir.dir, '{}', '7', '3']);
  expect((await second.exited).code).toBe(1);
  expect(second.errors).toContain('E_LOCKED');
  // A stopped process may wake up in the middle of a line: it is not dead.
  first.signal('SIGSTOP');
  await expect(dir.open()).rejects.toMatchObject(locked);
  first.signal('SIGKILL');
  await first.exited;
  const { stored } = await dir.open();
  expect(stored).toEqual(new Workload(seededTransactions(7, 3)).script.end);
});

test('two sinks of one process are kept apart as well', async () => {
  await using dir = new Directory();
  const { sink } = await dir.open();
  await expect(dir.open()).rejects.toMatchObject({ code: 'E_LOCKED' });
  await sink.close();
  await dir.open();
});

test('of many that start at once one gets in', async () => {
  await using dir = new Directory();
  const script = `
    import { DirectoryLock } from ${JSON.stringify(new URL('../../../connectors/file/directory-lock.ts', import.meta.url).href)};
    try { new DirectoryLock(${JSON.stringify(dir.dir)}, {}); console.log('in'); setInterval(() => {}, 1000); }
    catch (error) { console.log(error.code); }`;
  const children = Array.from({ length: 4 }, () =>
    spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  const ended = children.map(async (child) => once(child, 'exit'));
  try {
    const said: string[] = [];
    for (const child of children) child.stdout?.on('data', (text) => said.push(String(text).trim()));
    await waitFor(() => said.length === children.length);
    expect(said.sort()).toEqual(['E_LOCKED', 'E_LOCKED', 'E_LOCKED', 'in']);
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(ended);
  }
  new DirectoryLock(dir.dir, {}).release();
});
