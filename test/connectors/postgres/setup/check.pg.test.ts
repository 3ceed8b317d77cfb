import { Client } from 'pg';
import { expect, test } from 'vitest';
import { postgresSource } from '../../../../connectors/postgres/config.ts';
import { resolveConnection } from '../../../../connectors/postgres/connection/connection-settings.ts';
import { type CheckOptions, checkSource } from '../../../../connectors/postgres/setup/check.ts';
import { createSlot } from '../../../../connectors/postgres/setup/slot.ts';
import type { Finding } from '../../../../src/delivery/sink.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres.ts';
import { ruleFor, rulesFor } from './rules.ts';

const signal = new AbortController().signal;

interface Check extends Partial<Omit<CheckOptions, 'config'>> {
  readonly source?: object;
  readonly tables?: readonly string[];
  readonly admin?: boolean;
}

async function check(
  database: Pick<TestDatabase, 'url' | 'adminUrl' | 'name'>,
  { source = {}, tables = [], admin = false, ...options }: Check = {},
): Promise<Finding[]> {
  const config = postgresSource.parse({ url: admin ? database.adminUrl : database.url, ...source });
  const findings: Finding[] = [];
  const slot = `${database.name}_slot`;
  for await (const finding of checkSource({
    settings: resolveConnection(config, {}),
    config,
    names: { slot, publication: slot },
    rules: rulesFor(...tables),
    need: () => 'key',
    signal,
    ...options,
  })) {
    findings.push(finding);
  }
  return findings;
}

function finding(level: Finding['level'], about: string, fix?: string): unknown {
  return expect.objectContaining({
    level,
    about: expect.stringContaining(about),
    ...(fix === undefined ? {} : { fix: expect.stringContaining(fix) }),
  });
}

function problems(findings: readonly Finding[]): Finding[] {
  return findings.filter(({ level }) => level !== 'ok');
}

function newSlot(database: TestDatabase): Promise<bigint> {
  const settings = resolveConnection({ url: database.url }, {});
  return createSlot({ settings, slot: `${database.name}_slot`, timeoutMs: 20_000, signal });
}

test('nothing wrong: every finding is ok, before the first start and after', async () => {
  await using database = await createTestDatabase({ create: true, select: true });
  await database.query(
    `CREATE TABLE orders (id int PRIMARY KEY); ALTER TABLE orders OWNER TO "${database.role}"`,
  );
  const first = await check(database, { tables: ['public.orders'] });
  expect(problems(first)).toEqual([]);
  expect(first).toEqual(
    expect.arrayContaining([
      finding('ok', `database ${database.name}, as ${database.role}`),
      finding('ok', 'wal_level is logical'),
      finding('ok', 'replication slots are in use'),
      finding('ok', 'WAL senders are in use'),
      finding('ok', `${database.name}_slot does not exist yet`),
      finding('ok', 'does not exist; that is mended at the next start', 'CREATE PUBLICATION'),
      finding('ok', 'Tables selected: 1.'),
      finding('ok', 'pg_read_all_stats'),
    ]),
  );
  await database.query(`CREATE PUBLICATION "${database.name}_slot" FOR TABLE orders`);
  await newSlot(database);
  const second = await check(database, { tables: ['public.orders'] });
  expect(problems(second)).toEqual([]);
  expect(second).toEqual(
    expect.arrayContaining([
      finding('ok', 'publishes what is selected'),
      finding('ok', `${database.name}_slot stands at`),
    ]),
  );
});

test('a connection that fails is the only finding', async () => {
  await using database = await createTestDatabase();
  const url = new URL(database.url);
  url.password = 'wrong';
  expect(await check({ ...database, url: url.href, name: database.name })).toEqual([
    finding('error', '28P01'),
  ]);
  await database.query(`ALTER ROLE "${database.role}" NOREPLICATION`);
  expect(await check(database)).toEqual([
    finding('error', 'may not connect in this way', `ALTER ROLE "${database.role}" REPLICATION;`),
  ]);
});

test('an abort is thrown, not reported', async () => {
  await using database = await createTestDatabase();
  const reason = new Error('enough');
  await expect(check(database, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});

test('tables that cannot be had, and a column that does not exist', async () => {
  await using database = await createTestDatabase({
    setup:
      'CREATE TABLE orders (id int PRIMARY KEY); CREATE VIEW v AS SELECT 1; CREATE UNLOGGED TABLE u (id int)',
  });
  const findings = await check(database, { tables: ['public.order', 'public.v', 'public.u', 'shop.*'] });
  expect(findings).toEqual(
    expect.arrayContaining([
      finding('error', 'public.order (tailrace.yaml:1:1) does not exist', 'public.orders'),
      finding('error', 'public.v (tailrace.yaml:2:1) is a view'),
      finding('error', 'public.u (tailrace.yaml:3:1) is unlogged', 'SET LOGGED'),
      finding('warning', 'shop.* (tailrace.yaml:4:1) matches no table'),
    ]),
  );
  const rules = [ruleFor('public.orders', { exclude: ['card'] })];
  expect(await check(database, { rules })).toEqual(
    expect.arrayContaining([finding('error', 'names the column "card"', 'id')]),
  );
});

test('privileges: what is missing, with the SQL that gives it', async () => {
  await using database = await createTestDatabase({
    setup: 'CREATE SCHEMA "Shop"; CREATE TABLE "Shop".orders (id int PRIMARY KEY)',
  });
  const tables = ['Shop.orders'];
  const findings = problems(await check(database, { tables }));
  expect(findings).toEqual([
    finding('error', 'may not change the publication', `GRANT CREATE ON DATABASE "${database.name}"`),
    finding('warning', 'may not read 1 of the tables, such as Shop.orders', 'GRANT USAGE ON SCHEMA "Shop"'),
    finding('warning', 'An unknown number of rows of Shop.orders'),
  ]);
  for (const { fix } of findings) {
    const sql = fix?.split('\n').filter((line) => line.startsWith('GRANT')) ?? [];
    await database.query(sql.join('\n'));
  }
  expect(problems(await check(database, { tables }))).toEqual([]);
});

test('manage: false: the publication has to be there already', async () => {
  await using database = await createTestDatabase({ select: true });
  await database.query('CREATE TABLE orders (id int PRIMARY KEY)');
  const wrong = problems(await check(database, { tables: ['public.orders'], source: { manage: false } }));
  expect(wrong).toEqual([finding('error', 'does not exist', 'CREATE PUBLICATION')]);
  await database.query(wrong[0]?.fix ?? '');
  expect(problems(await check(database, { tables: ['public.orders'], source: { manage: false } }))).toEqual(
    [],
  );
});

test('a publication that sends less, or more, than is selected', async () => {
  await using database = await createTestDatabase({ select: true });
  const { rows } = await database.query<{ v: number }>(
    "SELECT current_setting('server_version_num')::int AS v",
  );
  if ((rows[0]?.v ?? 0) < 150_000) return;
  await database.query(
    `CREATE TABLE orders (id int PRIMARY KEY, a int, b int); CREATE TABLE other (id int PRIMARY KEY);
     CREATE PUBLICATION "${database.name}_slot" FOR TABLE orders (id, a) WHERE (id > 5), other`,
  );
  expect(problems(await check(database, { tables: ['public.orders'] }))).toEqual([
    finding('warning', 'filters the rows of public.orders', 'DROP TABLE'),
    finding('warning', 'only these columns of public.orders: id, a'),
    finding('warning', '1 tables that are not selected, such as public.other'),
  ]);
});

test('a slot without its publication', async () => {
  await using database = await createTestDatabase();
  await newSlot(database);
  expect(problems(await check(database))).toEqual(
    [
      finding('error', 'what was written in between cannot be decoded', 'pg_drop_replication_slot'),
      finding('error', 'may not change the publication'),
    ].reverse(),
  );
});

test('replica identities that sinks or the application cannot live with', async () => {
  await using database = await createTestDatabase({ select: true });
  await database.query(
    `CREATE TABLE keyless (a int); CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
     CREATE TABLE other (id int PRIMARY KEY, code int NOT NULL); CREATE UNIQUE INDEX code ON other (code);
     ALTER TABLE other REPLICA IDENTITY USING INDEX code;
     CREATE TABLE fine (id int PRIMARY KEY)`,
  );
  const tables = ['public.keyless', 'public.nothing', 'public.other', 'public.fine'];
  const wrong = problems(await check(database, { tables, admin: true }));
  expect(wrong).toEqual([
    finding('error', 'public.keyless has no replica identity (it has no primary key)', 'FULL'),
    finding('error', 'public.nothing has no replica identity (its replica identity is NOTHING)', 'FULL'),
    finding('error', 'public.other does not log "id" of its key', 'DEFAULT'),
  ]);
  for (const { fix } of wrong) await database.query(fix ?? '');
  expect(problems(await check(database, { tables, admin: true }))).toEqual([]);
  const whole = await check(database, { tables: ['public.fine'], admin: true, need: () => 'full' });
  expect(problems(whole)).toEqual([finding('error', 'public.fine has to log whole old rows', 'FULL')]);
});

test('partitions that log less than their root promises', async () => {
  await using database = await createTestDatabase({
    setup: `CREATE TABLE events (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
      CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
      CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20);
      CREATE TABLE lines (v int) PARTITION BY RANGE (v); ALTER TABLE lines REPLICA IDENTITY FULL;
      CREATE TABLE lines_1 PARTITION OF lines FOR VALUES FROM (0) TO (10)`,
  });
  const tables = ['public.events', 'public.lines'];
  const wrong = problems(await check(database, { tables, admin: true }));
  const lines = finding(
    'error',
    '1 partitions of public.lines do not log whole old rows, such as public.lines_1',
    'FULL',
  );
  expect(wrong).toEqual([lines]);
  const whole = problems(await check(database, { tables, admin: true, need: () => 'full' }));
  expect(whole).toEqual([
    finding('error', 'public.events has to log whole old rows', 'FULL'),
    finding(
      'error',
      '2 partitions of public.events do not log whole old rows',
      '"events_2" REPLICA IDENTITY FULL',
    ),
    lines,
  ]);
  for (const { fix } of whole) await database.query(fix ?? '');
  expect(problems(await check(database, { tables, admin: true, need: () => 'full' }))).toEqual([]);
});

test('rows that were there before the slot', async () => {
  await using database = await createTestDatabase({ select: true });
  await database.query(
    `CREATE TABLE few (id int PRIMARY KEY); INSERT INTO few SELECT generate_series(1, 3);
     CREATE TABLE many (id int PRIMARY KEY); INSERT INTO many SELECT generate_series(1, 20000); ANALYZE many;
     CREATE TABLE fresh (id int PRIMARY KEY); INSERT INTO fresh SELECT generate_series(1, 10005);
     CREATE TABLE empty (id int PRIMARY KEY);
     CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
     CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (20000);
     CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (20000) TO (40000);
     INSERT INTO parted SELECT generate_series(1, 30000); ANALYZE parted_1; ANALYZE parted_2;`,
  );
  const tables = ['public.few', 'public.many', 'public.fresh', 'public.empty', 'public.parted'];
  const existing = problems(await check(database, { tables, admin: true }));
  expect(existing.map(({ about }) => about.replace(/ existed.*/, '')).sort()).toEqual([
    '3 rows of public.few',
    'About 10001 rows of public.fresh',
    'About 20000 rows of public.many',
    'About 30000 rows of public.parted',
  ]);
});

test('transactions that keep WAL: open ones by process, prepared ones by gid', async () => {
  await using database = await createTestDatabase({ setup: 'CREATE TABLE t (id int)' });
  await database.query(`GRANT pg_read_all_stats TO "${database.role}"`);
  const blocker = await database.connect();
  await blocker.query("SET application_name = 'forgotten'");
  await blocker.query('BEGIN');
  const { rows } = await blocker.query<{ pid: number }>(
    'SELECT pg_backend_pid() AS pid, pg_current_xact_id()',
  );
  await database.query(`BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION '${database.name}'`);
  try {
    const all = await check(database, { longTransactionSeconds: 0, longPreparedSeconds: 0 });
    expect(all).toEqual(
      expect.arrayContaining([
        finding('warning', `Process ${rows[0]?.pid} (`, `pg_terminate_backend(${rows[0]?.pid})`),
        finding('warning', `prepared transaction '${database.name}'`, `COMMIT PREPARED '${database.name}'`),
      ]),
    );
    expect(all).not.toEqual(expect.arrayContaining([finding('ok', 'pg_read_all_stats')]));
    expect(JSON.stringify(await check(database))).not.toMatch(/forgotten|prepared transaction/);
  } finally {
    await database.query(`ROLLBACK PREPARED '${database.name}'`);
  }
});

test('a slot that is not ours to read', async () => {
  await using other = await createTestDatabase();
  await using database = await createTestDatabase();
  const slot = `${database.name}_slot`;
  await other.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
  expect(await check(database)).toEqual(
    expect.arrayContaining([finding('error', `${slot} is of the database ${other.name}`, 'slot:')]),
  );
  await other.query('SELECT pg_drop_replication_slot($1)', [slot]);
  await database.query('SELECT pg_create_physical_replication_slot($1)', [slot]);
  expect(await check(database)).toEqual(expect.arrayContaining([finding('error', `${slot} is physical`)]));
  await database.query('SELECT pg_drop_replication_slot($1)', [slot]);
  await database.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput', false, true)", [slot]);
  expect(await check(database)).toEqual(
    expect.arrayContaining([finding('error', 'was created for two-phase commit')]),
  );
});

test('a slot that somebody reads', async () => {
  await using database = await createTestDatabase();
  const slot = `${database.name}_slot`;
  await newSlot(database);
  const reader = new Client({
    connectionString: database.url,
    replication: 'database',
    application_name: 'stranger',
  } as object);
  reader.on('error', () => {});
  await reader.connect();
  const streaming = reader.query(
    `START_REPLICATION SLOT ${slot} LOGICAL 0/0 (proto_version '1', publication_names 'none')`,
  );
  streaming.catch(() => {});
  try {
    await expect
      .poll(() => check(database))
      .toEqual(expect.arrayContaining([finding('warning', `${slot} is being read by process`)]));
    expect(JSON.stringify(await check(database))).toContain('stranger');
    expect(problems(await check(database, { source: { application_name: 'other' } })).length).toBeGreaterThan(
      0,
    );
  } finally {
    await reader.end();
  }
});

test('a database whose text the server does not know', async () => {
  await using database = await createTestDatabase();
  const name = `${database.name}_ascii`;
  await database.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'`);
  try {
    const url = new URL(database.url);
    url.pathname = `/${name}`;
    expect(await check({ ...database, url: url.href, name: database.name })).toEqual(
      expect.arrayContaining([finding('warning', 'SQL_ASCII')]),
    );
  } finally {
    await database.query(`DROP DATABASE ${name} WITH (FORCE)`);
  }
});
