import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PipelineStatus } from '../../src/observe/status.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { waitFor } from '../support/wait.ts';
import { Cli, tailrace } from './cli.ts';

let database: TestDatabase;
let dir: string;
let config: string;

beforeAll(async () => {
  database = await createTestDatabase({
    setup: 'CREATE TABLE orders (id int PRIMARY KEY, note text); CREATE TABLE audit (id int PRIMARY KEY)',
  });
  dir = await mkdtemp(join(tmpdir(), 'tailrace-cli-'));
  config = join(dir, 'tailrace.yaml');
  await writeFile(
    config,
    `pipeline: cli
source: { url: "\${DATABASE_URL}", slot: ${database.name}, publication: ${database.name} }
event_log: { dir: log }
sinks:
  history: { type: file, path: history }
tables:
  public.*: { to: history }
admin: { port: 0 }
`,
  );
});

afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

/** The role that `tailrace sql` makes, and nothing but its privileges. */
async function makeRole(name: string): Promise<string> {
  const printed = await tailrace(['sql', '-c', config, '--role', name], { DATABASE_URL: database.adminUrl });
  expect(printed.code).toBe(0);
  await database.query(printed.stdout.replace("'change me'", "'s3cret-pw'"));
  const url = new URL(database.adminUrl);
  url.username = name;
  url.password = 's3cret-pw';
  return url.href;
}

describe('a role with exactly the privileges that `sql` prints', () => {
  test('is enough for check, run, status, tail, stop and destroy', async () => {
    const role = `${database.name}_least`;
    const env = { DATABASE_URL: await makeRole(role) };

    const before = await tailrace(['check', '-c', config], env);
    expect(before.stdout).toMatch(/0 errors/);
    expect(before.code).toBe(0);

    await using run = new Cli(['run', '-c', config], env);
    await run.logs('streaming');
    await database.query("INSERT INTO orders VALUES (1, 'first')");

    await waitFor(
      async () =>
        (await readFile(join(dir, 'history', 'public.orders.ndjson'), 'utf8').catch(() => '')) !== '',
    );
    const status = await tailrace(['status', '-c', config, '--json'], env);
    expect(JSON.parse(status.stdout) as PipelineStatus).toMatchObject({
      pipeline: 'cli',
      state: 'streaming',
      source: { connected: true, slot: database.name, database: database.name },
      sinks: [{ name: 'history', type: 'file', state: 'streaming', events: 1, dead_letters: 0 }],
    });
    expect((await tailrace(['status', '-c', config], env)).stdout).toMatch(/history +file +streaming/);

    await using tail = new Cli(['tail', '-c', config, '--table', 'public.orders'], env);
    await using json = new Cli(['tail', '-c', config, '--json'], env);
    let id = 100;
    await waitFor(async () => {
      await database.query("INSERT INTO orders VALUES ($1, 'seen'); ".replace('$1', String(id)));
      await database.query(`INSERT INTO audit VALUES (${id++})`);
      return tail.stdout.includes('insert   public.orders') && json.stdout.includes('"table":"audit"');
    });
    expect(tail.stdout).not.toContain('audit');
    expect(JSON.parse(json.stdout.split('\n')[0] ?? '')).toMatchObject({
      op: 'c',
      source: { db: database.name },
    });
    tail.signal('SIGINT');
    expect((await tail.ended).code).toBe(0);

    const second = await tailrace(['run', '-c', config], env);
    expect(second.code).toBe(6);
    expect(second.stderr).toContain('E_LOCKED');

    run.signal('SIGTERM');
    const ended = await run.ended;
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stdout).toBe('');
    expect(ended.stderr).not.toContain('s3cret-pw');
    expect((await json.ended).code).toBe(0);

    const stopped = await tailrace(['status', '-c', config], env);
    expect(stopped.code).toBe(2);
    expect(stopped.stderr).toContain('is not running');

    const unconfirmed = await tailrace(['destroy', '-c', config], env);
    expect(unconfirmed.code).toBe(2);
    const destroyed = await tailrace(['destroy', '-c', config, '--yes'], env);
    expect(destroyed.stdout).toContain(`Dropped replication slot ${database.name}`);
    // The superuser made the publication, for tables that are the superuser's.
    expect(destroyed).toMatchObject({ code: 3, stderr: expect.stringContaining('DROP PUBLICATION') });
    await database.query(`DROP PUBLICATION ${database.name}`);
    const again = await tailrace(['destroy', '-c', config, '--yes'], env);
    expect(again).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/no replication slot .*\n.*no publication/),
    });
    await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }, 120_000);
});

describe('what is wrong', () => {
  test('with the configuration is told with file, line and column, exit 2', async () => {
    const bad = join(dir, 'bad.yaml');
    await writeFile(bad, 'pipeline: x\nsauce: {}\n');
    const { code, stderr } = await tailrace(['run', '-c', bad]);
    expect(code).toBe(2);
    expect(stderr).toContain(`${bad}:2:1 sauce: unknown option "sauce", did you mean "source"?`);
  });

  test('with the command line, exit 2', async () => {
    expect((await tailrace(['rnu'])).code).toBe(2);
    const unknown = await tailrace(['run', '-c', config, '--without', 'histroy'], {
      DATABASE_URL: database.adminUrl,
    });
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('did you mean "history"?');
  });

  test('with an environment variable, exit 2; no file, exit 2', async () => {
    const { code, stderr } = await tailrace(['check', '-c', config]);
    expect(code).toBe(2);
    expect(stderr).toContain('the environment variable DATABASE_URL is not set');
    expect((await tailrace(['check', '-c', join(dir, 'none.yaml')])).stderr).toContain('E_CONFIG');
  });

  test('with the role is found by check with the SQL that mends it, exit 3', async () => {
    await using other = await createTestDatabase({
      setup: 'CREATE TABLE orders (id int PRIMARY KEY, note text)',
    });
    const { code, stdout } = await tailrace(['check', '-c', config], { DATABASE_URL: other.url });
    expect(code).toBe(3);
    expect(stdout).toMatch(/✗ source/);
    expect(stdout).toMatch(/GRANT /);
  });
});

describe('signals', () => {
  test('during start-up ends it in order, exit 0', async () => {
    await using run = new Cli(['run', '-c', config], { DATABASE_URL: 'postgres://u:p@127.0.0.1:1/x' });
    await run.logs('E_CONNECT');
    run.signal('SIGINT');
    expect((await run.ended).code).toBe(0);
  });

  test('the second one stops at once, exit 8', async () => {
    await using other = await createTestDatabase({
      owner: true,
      setup: 'CREATE TABLE orders (id int PRIMARY KEY, note text)',
    });
    await other.query(`ALTER TABLE orders OWNER TO ${other.role}`);
    const stuck = join(dir, 'stuck.yaml');
    // A sink that cannot be opened holds the drain.
    await writeFile(
      stuck,
      `pipeline: ${other.name}
source: { url: "${other.url}" }
event_log: { dir: stuck-log }
sinks: { events: { type: kafka, brokers: ["127.0.0.1:1"] } }
tables: { public.orders: { to: events } }
admin: false
`,
    );
    await using run = new Cli(['run', '-c', stuck]);
    await run.logs('streaming');
    await other.query("INSERT INTO orders VALUES (1, 'x')");
    run.signal('SIGTERM');
    await run.logs('stopping');
    run.signal('SIGTERM');
    const ended = await run.ended;
    expect(ended.code).toBe(8);
    expect(ended.stderr).toContain('second SIGTERM');
  }, 60_000);
});

test('a null sink that has counted what it was asked to prints one line of JSON and ends the run, exit 0', async () => {
  await using other = await createTestDatabase({
    owner: true,
    setup: 'CREATE TABLE orders (id int PRIMARY KEY, note text)',
  });
  await other.query(`ALTER TABLE orders OWNER TO ${other.role}`);
  const counting = join(dir, 'counting.yaml');
  await writeFile(
    counting,
    `pipeline: ${other.name}
source: { url: "${other.url}" }
event_log: { dir: counting-log }
sinks: { count: { type: null, stop_after: 3, report: true } }
tables: { public.orders: { to: count } }
admin: false
`,
  );
  await using run = new Cli(['run', '-c', counting]);
  await run.logs('streaming');
  for (let id = 1; id <= 3; id++) await other.query('INSERT INTO orders VALUES ($1)', [id]);
  const { code, stdout, stderr } = await run.ended;
  expect(code, stderr).toBe(0);
  expect(stdout.trim().split('\n')).toHaveLength(1);
  expect(JSON.parse(stdout)).toMatchObject({ sink: 'count', events: 3 });
}, 60_000);

test('schema prints a JSON Schema that knows every connector', async () => {
  const { code, stdout } = await tailrace(['schema']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    $schema: expect.stringContaining('2020-12'),
    title: 'Tailrace pipeline',
  });
  for (const type of ['kafka', 'elasticsearch', 'file', 'sqlite', 'stdout'])
    expect(stdout).toContain(`"const": "${type}"`);
});
