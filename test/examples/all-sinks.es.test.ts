import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { SHOP_TABLES } from '../../examples/demo/shop-schema.ts';
import { read } from '../docs/markdown.ts';
import { createTestIndices } from '../support/elasticsearch.ts';
import { createTestTopics } from '../support/kafka.ts';
import { EXAMPLES, RunningExample } from './example.ts';

/** Where two sinks keep their positions, so that these go away with the test. */
function positionsOf(sinks: { readonly events: string } & Readonly<Record<string, string>>) {
  return Object.entries(sinks).map(
    ([sink, name]) =>
      [['sinks', sink, sink === 'events' ? 'positions_topic' : 'positions_index'], name] as const,
  );
}

test('compose.yaml: the tables of compose.sql into topics and indices', async () => {
  await using topics = await createTestTopics();
  await using indices = await createTestIndices();
  const sql = await readFile(join(EXAMPLES, 'compose.sql'), 'utf8');
  await using example = await RunningExample.start({
    file: 'compose.yaml',
    env: { KAFKA_BROKER: topics.brokers[0] ?? '', ELASTICSEARCH_URL: indices.url, ADMIN_HOST: '127.0.0.1' },
    setup: `CREATE SCHEMA shop; ${sql.slice(sql.indexOf('CREATE TABLE'), sql.indexOf('RESET ROLE'))}`,
    changes: [
      ...positionsOf({ events: topics.name('positions'), search: indices.name('positions') }),
      ...['orders', 'customers'].flatMap((table) => [
        [['tables', `shop.${table}`, 'to', 0, 'topic'], topics.name('{schema}.{table}')] as const,
        [['tables', `shop.${table}`, 'to', 1, 'index'], indices.name(table)] as const,
      ]),
    ],
  });
  await example.query(`
    INSERT INTO shop.customers (name, email, password_hash) VALUES ('Ada', 'ada@example.com', 'secret');
    INSERT INTO shop.orders (customer_id, total) VALUES (1, 10), (1, 20);
    UPDATE shop.orders SET status = 'paid' WHERE id = 2;
    DELETE FROM shop.orders WHERE id = 1`);
  await example.deliver();

  const records = await topics.read(topics.name('shop.orders'));
  expect(
    records.map(({ value }) => (value === null ? null : (JSON.parse(value.toString()) as object))),
  ).toMatchObject([
    { op: 'c', after: { id: 1 } },
    { op: 'c', after: { id: 2 } },
    { op: 'u', after: { id: 2, status: 'paid' } },
    { op: 'd', before: { id: 1 } },
    null,
  ]);
  const orders = await indices.documents(indices.name('orders'));
  expect([...orders].map(([id, { source }]) => [id, source['status'], source['total']])).toEqual([
    ['2', 'paid', '20.00'],
  ]);
  const customers = await indices.documents(indices.name('customers'));
  expect(customers.get('1')?.source).toEqual({
    id: 1,
    name: 'Ada',
    email: 'ada@example.com',
    created_at: expect.any(String) as string,
  });
});

test('shop-full.yaml: one table in four places', async () => {
  await using topics = await createTestTopics();
  await using indices = await createTestIndices();
  await using example = await RunningExample.start({
    file: 'shop-full.yaml',
    pipeline: indices.name('shop'),
    env: { KAFKA_BROKERS: topics.brokers[0] ?? '', ELASTICSEARCH_URL: indices.url },
    setup: `CREATE SCHEMA shop; ${SHOP_TABLES}`,
    changes: positionsOf({ events: topics.name('positions'), index: indices.name('positions') }),
  });
  try {
    await example.query(`
      INSERT INTO shop.customers (name, email, city, password_hash) VALUES ('Léa', 'lea@example.com', 'Lyon', 'secret');
      INSERT INTO shop.products (sku, name, description, price, stock, tags) VALUES ('OAK-1', 'Oak lamp', 'Oak', 12.9, 5, '{oak,lamp}');
      INSERT INTO shop.orders (customer_id, total) VALUES (1, 12.9), (1, 5);
      UPDATE shop.orders SET status = 'paid' WHERE id = 1;
      DELETE FROM shop.orders WHERE id = 2`);
    expect(documentedMetrics()).toEqual(servedMetrics(await example.metrics()));
    await example.deliver();

    const changes = [
      { op: 'c', after: { id: 1, status: 'new', total: '12.90' } },
      { op: 'c', after: { id: 2 } },
      { op: 'u', after: { id: 1, status: 'paid', total: '12.90' } },
      { op: 'd', before: { id: 2 }, after: null },
    ];
    const records = await topics.read(`${example.pipeline}.shop.orders`);
    const values = records.flatMap(({ value }) =>
      value === null ? [] : [JSON.parse(value.toString()) as { readonly source: { readonly seq: number } }],
    );
    const position = ({ source }: (typeof values)[number]): number => source.seq;
    expect(values.sort((a, b) => position(a) - position(b))).toMatchObject(changes);
    expect(await example.lines('data/history/shop.orders.ndjson')).toMatchObject(changes);

    const orders = await indices.documents(`${example.pipeline}-orders`);
    expect([...orders].map(([id, { source }]) => [id, source['status']])).toEqual([['1', 'paid']]);
    const products = `${example.pipeline}-products`;
    await indices.client.indices.refresh({ index: products });
    const { count } = await indices.client.count({ index: products, query: { term: { tags: 'oak' } } });
    expect(count).toBe(1);
    const customers = await indices.documents(`${example.pipeline}-customers`);
    expect(Object.keys(customers.get('1')?.source ?? {})).not.toContain('password_hash');

    using mirror = new DatabaseSync(join(example.dir, 'data/search.db'), { readOnly: true });
    expect(mirror.prepare('SELECT id, status, total FROM orders').all()).toEqual([
      { id: 1, status: 'paid', total: '12.90' },
    ]);
  } finally {
    const ours = (await topics.admin.listTopics()).filter((topic) =>
      topic.startsWith(`${example.pipeline}.`),
    );
    if (ours.length > 0) await topics.admin.deleteTopics({ topics: ours });
  }
});

/** Name and type, as docs/operations.md lists them. */
function documentedMetrics(): readonly string[] {
  const rows = read('docs/operations.md').matchAll(/^\| `(tailrace_\w+)` \| (\w+) \|/gm);
  return [...rows].map(([, name, type]) => `${name} ${type}`).sort();
}

function servedMetrics(page: string): readonly string[] {
  return [...page.matchAll(/^# TYPE (tailrace_\w+) (\w+)$/gm)]
    .map(([, name, type]) => `${name} ${type}`)
    .sort();
}
