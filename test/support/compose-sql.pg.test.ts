import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { startLocalPostgres } from './local-postgres.ts';

test("the example's role may publish its tables and replicate, and is no superuser", async () => {
  // A server of its own: roles belong to the whole server.
  await using server = await startLocalPostgres();
  const admin = new Client({ connectionString: server.url });
  await admin.connect();
  await admin.query(await readFile(resolve(import.meta.dirname, '../../examples/compose.sql'), 'utf8'));
  await admin.end();
  const url = new URL(server.url);
  url.username = 'tailrace';
  url.password = 'tailrace';
  const role = new Client({ connectionString: url.href });
  await role.connect();
  try {
    await role.query('CREATE PUBLICATION tailrace_shop FOR TABLE shop.orders, shop.customers');
    await role.query("SELECT pg_create_logical_replication_slot('tailrace_shop', 'pgoutput')");
    const { rows } = await role.query('SELECT rolsuper FROM pg_roles WHERE rolname = current_user');
    expect(rows).toEqual([{ rolsuper: false }]);
  } finally {
    await role.end();
  }
});
