import { Client } from '@elastic/elasticsearch';
import { expect, test } from 'vitest';
import { createTestIndices, elasticsearchUrl } from './elasticsearch.ts';

test('reads every document with its version, and deletes its indices', async () => {
  let prefix: string;
  {
    await using indices = await createTestIndices();
    ({ prefix } = indices);
    const index = indices.name('orders');
    const operations = Array.from({ length: 6000 }, (_, i) => [
      { index: { _index: index, _id: String(i), version: i + 10, version_type: 'external' as const } },
      { total: i },
    ]).flat();
    expect((await indices.client.bulk({ operations })).errors).toBe(false);
    const documents = await indices.documents(index);
    expect(documents.size).toBe(6000);
    expect(documents.get('5999')).toEqual({ version: 6009, source: { total: 5999 } });
  }
  const client = new Client({ node: elasticsearchUrl() });
  expect(await client.indices.exists({ index: `${prefix}orders` })).toBe(false);
  await client.close();
});
