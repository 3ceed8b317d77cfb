import { expect, test } from 'vitest';
import { Catalog } from '../../../../connectors/postgres/catalog/catalog.ts';
import { postgresSource } from '../../../../connectors/postgres/config.ts';
import { resolveConnection } from '../../../../connectors/postgres/connection/connection-settings.ts';
import { checkSource } from '../../../../connectors/postgres/setup/check.ts';
import { grantsSql, grantsWithoutServer, readGrants } from '../../../../connectors/postgres/setup/grants.ts';
import { preparePublication } from '../../../../connectors/postgres/setup/publication.ts';
import { createSlot } from '../../../../connectors/postgres/setup/slot.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres.ts';
import { rulesFor } from './rules.ts';

const signal = new AbortController().signal;
const patterns = ['Shop.*', 'public.log'];
const setup = `CREATE SCHEMA "Shop"; CREATE TABLE "Shop".orders (id int PRIMARY KEY); CREATE TABLE "Shop"."Order ""Lines""" (id int PRIMARY KEY);
               CREATE TABLE public.log (line text); CREATE TABLE public.private (secret text)`;

function namesOf(database: TestDatabase) {
  return { slot: `${database.name}_slot`, publication: `${database.name}_slot` };
}

/** As `tailrace sql` prints it, asked by the superuser for a role that does not exist yet. */
async function printGrants(database: TestDatabase, role: string, manage: boolean): Promise<string> {
  const input = await readGrants({
    settings: resolveConnection({ url: database.adminUrl }, {}),
    role,
    rules: rulesFor(...patterns),
    names: namesOf(database),
    manage,
    need: () => 'key',
    signal,
  });
  return grantsSql(input);
}

/** What a pipeline does at its first start, and `check` before it, as the role. Returns what check found wrong. */
async function start(database: TestDatabase, role: string, manage: boolean): Promise<string[]> {
  const url = new URL(database.url);
  url.username = role;
  url.password = 'change me';
  const config = postgresSource.parse({ url: url.href, manage });
  const settings = resolveConnection(config, {});
  const rules = rulesFor(...patterns);
  const names = namesOf(database);
  const wrong: string[] = [];
  for await (const { level, about } of checkSource({
    settings,
    config,
    names,
    rules,
    need: () => 'key',
    signal,
  })) {
    if (level !== 'ok') wrong.push(about);
  }
  await using catalog = new Catalog({ settings, rules, publication: names.publication });
  const tables = (await catalog.tables(signal)).map(({ definition }) => definition);
  await preparePublication({ settings, publication: names.publication, manage, tables, signal });
  await createSlot({ settings, slot: names.slot, timeoutMs: 20_000, signal });
  return wrong;
}

async function mayRead(database: TestDatabase, role: string, table: string): Promise<boolean> {
  const { rows } = await database.query<{ may: boolean }>(
    "SELECT has_table_privilege($1, $2, 'SELECT') AS may",
    [role, table],
  );
  return rows[0]?.may === true;
}

async function withRole(
  manage: boolean,
  owners: 'superuser' | 'application',
): Promise<{ sql: string; wrong: string[] }> {
  await using database = await createTestDatabase({ setup });
  // A name that has to be quoted everywhere.
  const role = `${database.name} "Reader"`;
  const owner = `${database.name}_app`;
  await database.query(`CREATE ROLE ${owner}`);
  if (owners === 'application') {
    for (const table of ['"Shop".orders', '"Shop"."Order ""Lines"""', 'public.log']) {
      await database.query(`ALTER TABLE ${table} OWNER TO ${owner}`);
    }
  }
  const quoted = `"${role.replaceAll('"', '""')}"`;
  try {
    const sql = await printGrants(database, role, manage);
    await database.query(sql);
    const wrong = await start(database, role, manage);
    expect(await mayRead(database, role, '"Shop".orders')).toBe(true);
    expect(await mayRead(database, role, 'public.private')).toBe(false);
    const { rows } = await database.query(
      'SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = $1',
      [role],
    );
    expect(rows).toEqual([
      { rolsuper: false, rolcreaterole: false, rolcreatedb: false, rolreplication: true },
    ]);
    return { sql, wrong };
  } finally {
    await database.query(
      'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1',
      [namesOf(database).slot],
    );
    await database.query(
      `REASSIGN OWNED BY ${owner} TO current_user; DROP OWNED BY ${owner}; DROP ROLE ${owner}`,
    );
    await database.query(
      `REASSIGN OWNED BY ${quoted} TO current_user; DROP OWNED BY ${quoted}; DROP ROLE ${quoted}`,
    );
  }
}

test('manage: false: the role reads, the publication is made by who runs the SQL', async () => {
  const { sql, wrong } = await withRole(false, 'superuser');
  expect(wrong).toEqual([]);
  expect(sql).toContain('CREATE PUBLICATION');
  expect(sql).toContain('ALTER TABLE "public"."log" REPLICA IDENTITY FULL;');
  expect(sql).not.toMatch(/^GRANT CREATE/m);
});

test('manage: true: the role makes the publication with the rights of the tables’ owner', async () => {
  const { sql, wrong } = await withRole(true, 'application');
  expect(wrong).toEqual([]);
  expect(sql).not.toContain('CREATE PUBLICATION');
  expect(sql).toMatch(/^GRANT CREATE ON DATABASE/m);
});

test('manage: true, tables of a superuser: its rights are not given away', async () => {
  const { sql, wrong } = await withRole(true, 'superuser');
  expect(wrong).toEqual([]);
  expect(sql).toContain('CREATE PUBLICATION');
  expect(sql).not.toMatch(/^GRANT (CREATE|"postgres")/m);
});

test('without a server: names as the configuration has them, patterns named as not included', async () => {
  const input = {
    role: 'tailrace',
    database: 'shop',
    rules: rulesFor('public.orders', 'shop.*'),
    manage: true,
  };
  const sql = grantsSql(grantsWithoutServer({ ...input, names: { slot: 's', publication: 'p' } }));
  expect(sql).toContain('GRANT SELECT ON TABLE "public"."orders" TO "tailrace";');
  expect(sql).toContain('CREATE PUBLICATION "p" FOR TABLE ONLY "public"."orders"');
  expect(sql).toContain('-- Not included: shop.* can be looked up with a connection only.');
});
