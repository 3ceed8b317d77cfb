import { expect, test } from 'vitest';
import { Catalog } from '../../../../connectors/postgres/catalog/catalog.ts';
import { resolveConnection } from '../../../../connectors/postgres/connection/connection-settings.ts';
import { SqlSession } from '../../../../connectors/postgres/connection/sql-session.ts';
import { preparePublication } from '../../../../connectors/postgres/setup/publication.ts';
import { readPublication } from '../../../../connectors/postgres/setup/publication-facts.ts';
import type { PublicationPlan } from '../../../../connectors/postgres/setup/publication-plan.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres.ts';
import { rulesFor } from './rules.ts';

const signal = new AbortController().signal;

interface Prepare {
  readonly manage?: boolean;
  /** Connects as the superuser, who made the tables. */
  readonly admin?: boolean;
}

async function prepare(
  database: TestDatabase,
  patterns: readonly string[],
  { manage = true, admin = true }: Prepare = {},
): Promise<PublicationPlan> {
  const settings = resolveConnection({ url: admin ? database.adminUrl : database.url }, {});
  await using catalog = new Catalog({ settings, rules: rulesFor(...patterns), publication: 'p' });
  const tables = (await catalog.tables(signal)).map(({ definition }) => definition);
  return await preparePublication({ settings, publication: 'p', manage, tables, signal });
}

async function published(database: TestDatabase): Promise<string[]> {
  const { rows } = await database.query<{ name: string }>(
    "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_publication_tables WHERE pubname = 'p' ORDER BY 1",
  );
  return rows.map(({ name }) => name);
}

async function options(database: TestDatabase): Promise<unknown> {
  const { rows } = await database.query(
    "SELECT pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot FROM pg_publication WHERE pubname = 'p'",
  );
  return rows[0];
}

const everything = { pubinsert: true, pubupdate: true, pubdelete: true, pubtruncate: true, pubviaroot: true };

test('created with all operations under the partition roots, and left alone when it is right', async () => {
  await using database = await createTestDatabase({
    setup: `CREATE TABLE a (id int PRIMARY KEY);
            CREATE TABLE "Odd "" Name" (id int PRIMARY KEY);
            CREATE TABLE parted (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
            CREATE TABLE parted_2024 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');`,
  });
  const patterns = ['public.a', 'public."Odd "" Name"', 'public.parted'];
  const first = await prepare(database, patterns);
  expect(first.added.map(({ table }) => table).sort()).toEqual(['Odd " Name', 'a', 'parted']);
  expect(await published(database)).toEqual(['public."Odd "" Name"', 'public.a', 'public.parted']);
  expect(await options(database)).toEqual(everything);
  expect((await prepare(database, patterns)).statements).toEqual([]);
});

test('follows the configuration: adds what is missing, drops what is gone', async () => {
  await using database = await createTestDatabase({
    setup:
      'CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY)',
  });
  await prepare(database, ['public.a', 'public.b']);
  const plan = await prepare(database, ['public.b', 'public.c']);
  expect(plan.added.map(({ table }) => table)).toEqual(['c']);
  expect(plan.dropped.map(({ table }) => table)).toEqual(['a']);
  expect(await published(database)).toEqual(['public.b', 'public.c']);
});

test('a publication somebody else made keeps its tables', async () => {
  await using database = await createTestDatabase({
    setup: `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);
            CREATE PUBLICATION p FOR TABLE a WITH (publish = 'insert')`,
  });
  const plan = await prepare(database, ['public.b']);
  expect(plan.dropped).toEqual([]);
  expect(plan.unused.map(({ table }) => table)).toEqual(['a']);
  expect(await published(database)).toEqual(['public.a', 'public.b']);
  // Nothing is partitioned: no need to change how partitions are named for its other readers.
  expect(await options(database)).toEqual({ ...everything, pubviaroot: false });
});

test.each([
  ['FOR ALL TABLES', 140_000],
  ['FOR TABLES IN SCHEMA public', 150_000],
])('%s covers every table', async (what, since) => {
  await using database = await createTestDatabase({ setup: 'CREATE TABLE a (id int PRIMARY KEY)' });
  const { rows } = await database.query<{ v: number }>(
    "SELECT current_setting('server_version_num')::int AS v",
  );
  if ((rows[0]?.v ?? 0) < since) return;
  await database.query(`CREATE PUBLICATION p ${what}`);
  expect((await prepare(database, ['public.a'])).statements).toEqual([]);
});

test('manage: false throws with the SQL, and that SQL is enough', async () => {
  await using database = await createTestDatabase({
    setup: `CREATE TABLE a (id int PRIMARY KEY); CREATE SCHEMA "S"; CREATE TABLE "S".b (id int, day date, PRIMARY KEY (id, day)) PARTITION BY LIST (day)`,
  });
  const attempt = () => prepare(database, ['public.a', 'S.b'], { manage: false, admin: false });
  const missing = (await attempt().catch((error: unknown) => error)) as {
    code: string;
    message: string;
    fix: string;
  };
  expect(missing).toMatchObject({ code: 'E_PUBLICATION', retriable: false });
  expect(missing.message).toContain('does not exist');
  await database.query(missing.fix);
  expect((await attempt()).statements).toEqual([]);
  expect(await options(database)).toEqual(everything);
  await database.query(
    'ALTER PUBLICATION p SET (publish = insert, publish_via_partition_root = false); ALTER PUBLICATION p DROP TABLE a',
  );
  const wrong = (await attempt().catch((error: unknown) => error)) as { message: string; fix: string };
  expect(wrong.message).toMatch(/does not publish all of .* under their own names, lacks "public"."a"/);
  await database.query(wrong.fix);
  expect((await attempt()).statements).toEqual([]);
});

test('a role without the privileges is told what to run', async () => {
  await using database = await createTestDatabase({ setup: 'CREATE TABLE a (id int PRIMARY KEY)' });
  const attempt = () => prepare(database, ['public.a'], { admin: false });
  await expect(attempt()).rejects.toMatchObject({
    code: 'E_PRIVILEGE',
    message: expect.stringContaining(`"${database.role}"`),
    fix: expect.stringContaining('CREATE PUBLICATION "p" FOR TABLE ONLY "public"."a"'),
  });
  expect(await published(database)).toEqual([]);
});

test('a role whose transactions are read-only by default can still do it', async () => {
  await using database = await createTestDatabase({ owner: true });
  await database.query(`ALTER ROLE "${database.role}" SET default_transaction_read_only = on`);
  await database.query(`CREATE TABLE a (id int PRIMARY KEY); ALTER TABLE a OWNER TO "${database.role}"`);
  expect((await prepare(database, ['public.a'], { admin: false })).added).toHaveLength(1);
});

test('a table is not published when that would break the application’s updates', async () => {
  await using database = await createTestDatabase({
    setup: 'CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE log (line text)',
  });
  const attempt = () => prepare(database, ['public.a', 'public.log']);
  const refused = (await attempt().catch((error: unknown) => error)) as { code: string; fix: string };
  expect(refused).toMatchObject({
    code: 'E_REPLICA_IDENTITY',
    message: expect.stringContaining('public.log'),
  });
  expect(await published(database)).toEqual([]);
  await database.query("INSERT INTO log VALUES ('x'); UPDATE log SET line = 'y'");
  await database.query(refused.fix);
  await attempt();
  await database.query("UPDATE log SET line = 'z'");
});

test('nor when a partition has no replica identity', async () => {
  await using database = await createTestDatabase({
    setup: `CREATE TABLE lines (v int) PARTITION BY RANGE (v); ALTER TABLE lines REPLICA IDENTITY FULL;
            CREATE TABLE lines_1 PARTITION OF lines FOR VALUES FROM (0) TO (10)`,
  });
  const refused = (await prepare(database, ['public.lines']).catch((error: unknown) => error)) as {
    code: string;
    fix: string;
  };
  expect(refused.code).toBe('E_REPLICA_IDENTITY');
  await database.query(refused.fix);
  await prepare(database, ['public.lines']);
  await database.query('INSERT INTO lines VALUES (1); UPDATE lines SET v = 2; DELETE FROM lines');
});

test('inheritance: children are published by their own names only', async () => {
  await using database = await createTestDatabase({
    setup:
      'CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent)',
  });
  await prepare(database, ['public.parent']);
  expect(await published(database)).toEqual(['public.parent']);
  expect((await prepare(database, ['public.parent'])).statements).toEqual([]);
});

test('no table yet: an empty publication, filled later', async () => {
  await using database = await createTestDatabase();
  await prepare(database, ['shop.*']);
  expect(await published(database)).toEqual([]);
  await database.query('CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY)');
  expect((await prepare(database, ['shop.*'])).added).toHaveLength(1);
});

test('row filters and column lists are the server’s, and known', async () => {
  await using database = await createTestDatabase({
    setup: 'CREATE TABLE a (id int PRIMARY KEY, b int, c int)',
  });
  const { rows } = await database.query<{ v: number }>(
    "SELECT current_setting('server_version_num')::int AS v",
  );
  if ((rows[0]?.v ?? 0) < 150_000) return;
  await database.query('CREATE PUBLICATION p FOR TABLE a (id, c) WHERE (id > 0)');
  const settings = resolveConnection({ url: database.adminUrl }, {});

  await using session = new SqlSession({ settings, purpose: 'test' });
  expect(await readPublication(session, 'p', signal)).toMatchObject({
    owned: true,
    tables: [{ schema: 'public', table: 'a', rowFilter: true, columns: ['id', 'c'] }],
  });
  await database.query('ALTER PUBLICATION p SET TABLE a');
  expect(await readPublication(session, 'p', signal)).toMatchObject({
    tables: [{ rowFilter: false, columns: null }],
  });
});
