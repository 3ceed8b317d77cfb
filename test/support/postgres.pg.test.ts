import { Client } from 'pg';
import { expect, test } from 'vitest';
import { createTestDatabase, postgresUrl } from './postgres.ts';

test('the role owns nothing, may replicate, and is gone afterwards with its slot', async () => {
  const names: { name: string; role: string } = { name: '', role: '' };
  {
    await using database = await createTestDatabase({ setup: 'CREATE TABLE t (id int PRIMARY KEY)' });
    Object.assign(names, { name: database.name, role: database.role });
    const client = new Client({ connectionString: database.url });
    client.on('error', () => {});
    await client.connect();
    const { rows } = await client.query(
      'SELECT current_user AS user, rolreplication, rolsuper FROM pg_roles WHERE rolname = current_user',
    );
    expect(rows).toEqual([{ user: database.role, rolreplication: true, rolsuper: false }]);
    await expect(client.query('SELECT * FROM t')).rejects.toMatchObject({ code: '42501' });
    await expect(client.query('CREATE TABLE mine (id int)')).rejects.toMatchObject({ code: '42501' });
    await client.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [
      `${database.name}_slot`,
    ]);
    // The connection stays open and the slot stays behind: disposing has to cope.
  }
  const admin = new Client({ connectionString: postgresUrl() });
  await admin.connect();
  const { rows } = await admin.query(
    `SELECT (SELECT count(*)::int FROM pg_database WHERE datname = $1) AS databases,
            (SELECT count(*)::int FROM pg_roles WHERE rolname = $2) AS roles,
            (SELECT count(*)::int FROM pg_replication_slots WHERE database = $1) AS slots`,
    [names.name, names.role],
  );
  await admin.end();
  expect(rows).toEqual([{ databases: 0, roles: 0, slots: 0 }]);
});

test('what the options grant, the role may do', async () => {
  await using database = await createTestDatabase({ create: true, select: true });
  await database.query('CREATE TABLE t (id int PRIMARY KEY)');
  const client = new Client({ connectionString: database.url });
  await client.connect();
  try {
    expect((await client.query('SELECT * FROM t')).rows).toEqual([]);
    await client.query('CREATE SCHEMA mine');
  } finally {
    await client.end();
  }
});
