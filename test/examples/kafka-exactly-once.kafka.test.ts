import { expect, test } from 'vitest';
import { createTestTopics, type TopicRecord } from '../support/kafka.ts';
import { RunningExample } from './example.ts';

test('kafka-exactly-once.yaml: Debezium records, and rows for a compacted topic', async () => {
  await using topics = await createTestTopics();
  await using example = await RunningExample.start({
    file: 'kafka-exactly-once.yaml',
    pipeline: topics.name('shop'),
    env: { KAFKA_BROKERS: topics.brokers[0] ?? '' },
    changes: [[['sinks', 'events', 'positions_topic'], topics.name('positions')]],
    setup: `
      CREATE TABLE customers (id int PRIMARY KEY, name text, password_hash text);
      CREATE TABLE prices (sku text PRIMARY KEY, price numeric(10,2));
      CREATE TABLE orders (id int PRIMARY KEY, status text)`,
  });
  await example.query(`
    BEGIN;
    INSERT INTO customers VALUES (1, 'Ada', 'secret');
    INSERT INTO prices VALUES ('OAK-1', 9.9), ('WOO-1', 80);
    INSERT INTO orders VALUES (1, 'new');
    COMMIT;
    UPDATE prices SET price = 10.5 WHERE sku = 'OAK-1';
    DELETE FROM prices WHERE sku = 'WOO-1';
    UPDATE orders SET status = 'paid';
    DELETE FROM orders`);
  await example.deliver();

  const customers = await topics.read(`${example.pipeline}.customers`);
  expect(customers.map(content)).toMatchObject([
    { key: { id: 1 }, value: { op: 'c', after: { id: 1, name: 'Ada' } } },
  ]);
  expect(customers[0]?.value?.toString()).not.toContain('password_hash');

  const prices = (await topics.read(`${example.pipeline}.prices`)).map(content);
  const of = (sku: string): unknown[] =>
    prices.filter(({ key }) => (key as { sku: string }).sku === sku).map(({ value }) => value);
  expect(of('OAK-1')).toEqual([
    { sku: 'OAK-1', price: '9.90' },
    { sku: 'OAK-1', price: '10.50' },
  ]);
  expect(of('WOO-1')).toEqual([{ sku: 'WOO-1', price: '80.00' }, null]);

  const orders = await topics.read(`${example.pipeline}.public.orders`);
  expect(orders.map(content)).toMatchObject([
    { value: { op: 'c', after: { status: 'new' } } },
    { value: { op: 'u', after: { status: 'paid' } } },
    { value: { op: 'd', before: { id: 1 }, after: null } },
    { key: { id: 1 }, value: null },
  ]);
  expect(await topics.admin.fetchTopicOffsets(`${example.pipeline}.public.orders`)).toHaveLength(6);
});

function content({ key, value }: TopicRecord): { readonly key: unknown; readonly value: unknown } {
  const parsed = (bytes: Buffer | null): unknown =>
    bytes === null ? null : JSON.parse(bytes.toString('utf8'));
  return { key: parsed(key ?? null), value: parsed(value) };
}
