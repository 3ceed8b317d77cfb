import { expect, test } from 'vitest';
import { createTestIndices } from '../support/elasticsearch.ts';
import { RunningExample } from './example.ts';

test('elasticsearch.yaml: rows as documents that can be searched', async () => {
  await using indices = await createTestIndices();
  await using example = await RunningExample.start({
    file: 'elasticsearch.yaml',
    pipeline: indices.name('shop'),
    env: { ELASTICSEARCH_URL: indices.url },
    changes: [[['sinks', 'search', 'positions_index'], indices.name('positions')]],
    setup: `
      CREATE TABLE products (sku text PRIMARY KEY, name text, description text, category text, price numeric(10,2), attributes jsonb);
      CREATE TABLE reviews (product text, no int, stars int, author_email text, PRIMARY KEY (product, no))`,
  });
  await example.query(`
    INSERT INTO products VALUES
      ('OAK-1', 'Oak lamp', 'Lamps for reading', 'lamps', 12.9, '{"wood": "oak"}'),
      ('WOO-1', 'Blanket', 'Wool', 'textiles', 80, '{}');
    INSERT INTO reviews VALUES ('OAK-1', 1, 5, 'a@example.com'), ('OAK-1', 2, 4, 'b@example.com');
    UPDATE products SET price = 13.5 WHERE sku = 'OAK-1';
    DELETE FROM products WHERE sku = 'WOO-1'`);
  await example.deliver();

  const products = await indices.documents(`${example.pipeline}-products`);
  expect([...products].map(([id, { source }]) => [id, source])).toEqual([
    [
      'OAK-1',
      {
        sku: 'OAK-1',
        name: 'Oak lamp',
        description: 'Lamps for reading',
        category: 'lamps',
        price: '13.50',
        attributes: { wood: 'oak' },
      },
    ],
  ]);
  const reviews = await indices.documents(`${example.pipeline}-reviews`);
  expect([...reviews.keys()].sort()).toEqual(['OAK-1:1', 'OAK-1:2']);
  expect(reviews.get('OAK-1:2')?.source).toEqual({ product: 'OAK-1', no: 2, stars: 4 });

  const search = async (query: object): Promise<number> => {
    const { count } = await indices.client.count({ index: `${example.pipeline}-products`, query });
    return count;
  };
  // Stemmed by the analyzer, exact as a keyword, by a member of the jsonb column, and by number.
  expect(await search({ match: { description: 'lamp' } })).toBe(1);
  expect(await search({ term: { category: 'lamps' } })).toBe(1);
  expect(await search({ term: { 'attributes.wood': 'oak' } })).toBe(1);
  expect(await search({ range: { price: { gt: 13, lt: 14 } } })).toBe(1);
});
