import { expect, test } from 'vitest';
import { createRoute, indexNameFor } from '../../../../connectors/elasticsearch/documents/create-route.ts';
import { indexNameProblem } from '../../../../connectors/elasticsearch/documents/index-name.ts';
import { relation } from '../../batch-builder.ts';

const names = { pipeline: 'Shop', database: 'Main' };

test.each([
  ['orders', undefined],
  ['public-orders_2.x+y', undefined],
  ['größe', undefined],
  ['', 'it is empty'],
  ['..', 'it is . or ..'],
  ['-orders', 'it begins with -, _ or +'],
  ['Orders', 'it has upper-case letters'],
  ['a b', 'it holds " "'],
  ['a#b', 'it holds "#"'],
  ['a:b', 'it holds ":"'],
  ['a,b', 'it holds ","'],
  ['ü'.repeat(128), 'it has 256 bytes, 255 are allowed'],
])('%s', (name, problem) => {
  expect(indexNameProblem(name)).toBe(problem);
});

test('names are made of lower-cased parts', () => {
  const table = relation({ schema: 'Sales', table: 'Orders', columns: { id: 'int8' }, key: ['id'] });
  expect(indexNameFor('{schema}-{table}', table, names)).toBe('sales-orders');
  expect(indexNameFor('{pipeline}.{database}.{table}', table, names)).toBe('shop.main.orders');
});

test('a table whose name cannot be an index is named with the way out', () => {
  const table = relation({ table: 'order lines', columns: { id: 'int8' }, key: ['id'] });
  expect(() => indexNameFor('{table}', table, names)).toThrow(
    expect.objectContaining({
      code: 'E_SINK_CONFIG',
      message: expect.stringContaining('it holds " "'),
      fix: expect.stringContaining('index: order-lines'),
    }),
  );
});

test('a table without key, or with an id that deletes would not carry, is refused with the SQL', () => {
  const keyless = relation({ table: 'logs', columns: { a: 'text' } });
  expect(() => createRoute({ index: 'logs', relation: keyless, idTemplate: undefined })).toThrow(
    expect.objectContaining({ code: 'E_SINK_CONFIG', fix: expect.stringContaining('ADD PRIMARY KEY') }),
  );
  const orders = relation({ table: 'orders', columns: { id: 'int8', code: 'text' }, key: ['id'] });
  expect(() => createRoute({ index: 'orders', relation: orders, idTemplate: '{code}' })).toThrow(
    expect.objectContaining({
      code: 'E_REPLICA_IDENTITY',
      fix: 'ALTER TABLE "public"."orders" REPLICA IDENTITY FULL;',
    }),
  );
  expect(() => createRoute({ index: 'orders', relation: orders, idTemplate: '{nope}' })).toThrow(
    expect.objectContaining({ code: 'E_CONFIG' }),
  );
  const full = relation({
    table: 'orders',
    columns: { id: 'int8', code: 'text' },
    key: ['id'],
    replicaIdentity: 'full',
  });
  expect(createRoute({ index: 'orders', relation: full, idTemplate: '{code}' }).destination).toBe('orders');
});
