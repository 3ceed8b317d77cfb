import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const cli = (name: string): string => fileURLToPath(new URL(`../../src/cli/${name}.ts`, import.meta.url));

/** Runs statements in a process that reports as the command line does. */
function run(statements: string): { readonly status: number | null; readonly stderr: string } {
  const code = `
    import { endOnStrayErrors } from ${JSON.stringify(cli('report'))};
    import { keepSecret } from ${JSON.stringify(cli('secrets'))};
    endOnStrayErrors();
    keepSecret(['hunter22', 'say "please"', 'postgres://me:in%20url@db/shop']);
    setTimeout(() => {}, 60_000);
    ${statements}`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, stderr };
}

describe('an error that nobody has caught', () => {
  test.each([
    ['a rejection', "Promise.reject(new Error('stray'))"],
    ['an exception', "setImmediate(() => { throw new Error('stray'); })"],
    ['a rejection with nothing', 'Promise.reject(undefined)'],
  ])('%s ends the process with a named error', (_, statements) => {
    const { status, stderr } = run(statements);
    expect(status).toBe(1);
    expect(stderr).toContain('[E_INTERNAL]');
  });

  test('shows no secret, neither in the message nor in the stack', () => {
    const { status, stderr } = run(
      `Promise.reject(new Error('hunter22 in%20url in url and say "please" at postgres://me:other-pw@db/shop'))`,
    );
    expect(status).toBe(1);
    expect(stderr).toContain('postgres://me:***@db/shop');
    expect(stderr).not.toMatch(/hunter22|please|other-pw|in%20url|in url/);
  });
});
