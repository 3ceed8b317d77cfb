import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { SHOP_TABLES } from '../../examples/demo/shop-schema.ts';
import { RunningExample } from './example.ts';

test('quickstart-file.yaml: every table of a schema into files', async () => {
  await using example = await RunningExample.start({
    file: 'quickstart-file.yaml',
    setup: 'CREATE TABLE orders (id int PRIMARY KEY, note text); CREATE TABLE notes (id int PRIMARY KEY)',
  });
  await example.query(`
    INSERT INTO orders VALUES (1, 'first');
    UPDATE orders SET note = 'changed';
    DELETE FROM orders;
    INSERT INTO notes VALUES (7)`);
  await example.deliver();
  expect(await example.lines('events/public.orders.ndjson')).toMatchObject([
    { op: 'c', before: null, after: { id: 1, note: 'first' } },
    { op: 'u', after: { id: 1, note: 'changed' } },
    { op: 'd', before: { id: 1 }, after: null },
  ]);
  expect(await example.lines('events/public.notes.ndjson')).toMatchObject([{ op: 'c', after: { id: 7 } }]);
});

test('shop.yaml: a history, and an index that can be searched', async () => {
  await using example = await RunningExample.start({
    file: 'shop.yaml',
    setup: `CREATE SCHEMA shop; ${SHOP_TABLES}`,
  });
  await example.query(`
    INSERT INTO shop.customers (name, email, city, password_hash) VALUES ('Léa', 'lea@example.com', 'Lyon', 'secret');
    INSERT INTO shop.products (sku, name, description, price, stock, tags)
      VALUES ('OAK-1', 'Oak lamp', 'A lamp of oak', 12.9, 5, '{oak,lamp}'), ('WOO-1', 'Blanket', 'Wool', 80, 1, '{}');
    INSERT INTO shop.orders (customer_id, total) VALUES (1, 12.9);
    UPDATE shop.orders SET status = 'paid'`);
  await example.deliver();

  const [customer] = await example.lines('data/history/shop.customers.ndjson');
  expect(customer).toMatchObject({ op: 'c', after: { name: 'Léa' } });
  expect(JSON.stringify(customer)).not.toContain('password_hash');
  expect(await example.lines('data/history/shop.orders.ndjson')).toMatchObject([
    { op: 'c', after: { status: 'new', total: '12.90' } },
    { op: 'u', after: { status: 'paid', total: '12.90' } },
  ]);
  using index = new DatabaseSync(join(example.dir, 'data/search.db'), { readOnly: true });
  const found = index
    .prepare(
      `SELECT p.name, p.price FROM products_search s JOIN products p ON p.rowid = s.rowid WHERE products_search MATCH 'oak'`,
    )
    .all();
  expect(found).toEqual([{ name: 'Oak lamp', price: '12.90' }]);
  expect(index.prepare('SELECT status, total FROM orders').all()).toEqual([
    { status: 'paid', total: '12.90' },
  ]);
});
