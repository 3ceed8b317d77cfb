import { describe, expect, test } from 'vitest';
import { createTestIndices, type TestIndices } from '../../support/elasticsearch.ts';
import { EventScript, relation, UNCHANGED } from '../batch-builder.ts';
import { type FixtureOptions, SinkFixture } from './sink-fixture.ts';

const orders = relation({
  table: 'orders',
  columns: { id: 'int8', note: 'text', total: 'numeric' },
  key: ['id'],
});

function fixture(indices: TestIndices, options: Partial<FixtureOptions> = {}): SinkFixture {
  return new SinkFixture({ url: indices.url, prefix: indices.prefix, ...options });
}

async function sources(indices: TestIndices, index = 'orders'): Promise<Record<string, unknown>> {
  const documents = await indices.documents(indices.name(index));
  return Object.fromEntries([...documents].map(([id, { source }]) => [id, source]));
}

describe('rows become documents', () => {
  test('insert, update, delete, key change and truncate, with versions from the log', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    expect(await sink.open()).toBeUndefined();
    await sink.prepare(orders);

    const script = new EventScript();
    const first = script.transaction((tx) => {
      tx.insert(orders, { id: '1', note: 'one', total: '1.10' });
      tx.insert(orders, { id: '2', note: 'two', total: null });
      tx.insert(orders, { id: '3', note: 'three', total: 'NaN' });
    });
    expect(await sink.deliver(script)).toEqual(script.end);
    let documents = await indices.documents(indices.name('orders'));
    expect(documents.get('1')).toEqual({
      version: Number(first.commitLsn),
      source: { id: 1, note: 'one', total: '1.10' },
    });
    expect(documents.get('3')?.version).toBe(Number(first.commitLsn) + 21);

    let after = script.end.position;
    const second = script.transaction((tx) => {
      tx.update(orders, { id: '1', note: 'uno', total: '1.10' });
      tx.delete(orders, { id: '2' });
      tx.update(orders, { id: '4', note: 'four', total: null }, { oldKey: { id: '3' } });
    });
    await sink.deliver(script, { after });
    documents = await indices.documents(indices.name('orders'));
    expect([...documents.keys()].sort()).toEqual(['1', '4']);
    expect(documents.get('1')).toEqual({
      version: Number(second.commitLsn),
      source: { id: 1, note: 'uno', total: '1.10' },
    });

    after = script.end.position;
    script.transaction((tx) => {
      tx.insert(orders, { id: '5', note: 'gone', total: null });
      tx.truncate(orders);
      tx.insert(orders, { id: '6', note: 'six', total: null });
      tx.insert(orders, { id: '1', note: 'again', total: null });
    });
    await sink.deliver(script, { after });
    expect(await sources(indices)).toEqual({
      1: { id: 1, note: 'again', total: null },
      6: { id: 6, note: 'six', total: null },
    });
  });

  test('compressed on the way, in requests and answers', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices, { config: { compression: true } });
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    script.transaction((tx) => {
      for (let i = 0; i < 500; i++) tx.insert(orders, { id: String(i), note: 'x'.repeat(100), total: null });
    });
    expect(await sink.deliver(script)).toEqual(script.end);
    expect(Object.keys(await sources(indices))).toHaveLength(500);
  });

  test('a TRUNCATE deletes more documents than a page holds', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    script.transaction((tx) => {
      for (let i = 0; i < 4500; i++) tx.insert(orders, { id: String(i), note: 'x', total: null });
    });
    script.transaction((tx) => tx.truncate(orders));
    await sink.deliver(script, { transactions: 1 });
    expect(await sources(indices)).toEqual({});
  });

  test('versions above 2^53 stay exact', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript({ startLsn: 2n ** 62n + 1n });
    script.transaction((tx) => {
      tx.insert(orders, { id: '1', note: 'a', total: null });
      tx.insert(orders, { id: '2', note: 'a', total: null });
    });
    script.transaction((tx) => tx.insert(orders, { id: '3', note: 'a', total: null }));
    script.transaction((tx) => tx.truncate(orders));
    await sink.deliver(script, { transactions: 2 });
    // What was written in the same breath of WAL as the TRUNCATE differs from it in the last digits only.
    expect(await sources(indices)).toEqual({});
    // Again from the start: every operation meets its own version, and none is taken for a foreign one.
    await sink.deliver(script);
    expect(await sources(indices)).toEqual({});
  });
});

describe('rows whose large values were not sent', () => {
  const docs = relation({
    table: 'docs',
    columns: { id: 'int8', title: 'text', body: 'text', data: 'jsonb' },
    key: ['id'],
  });
  const data = '{"n": 1.10, "big": 12345678901234567890, "z": [1e400]}';

  async function rawSource(indices: TestIndices, id: string): Promise<string> {
    const response = await fetch(`${indices.url}/${indices.name('docs')}/_source/${id}`);
    return response.text();
  }

  test('are completed from the index, digit by digit, never with null', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(docs);
    const script = new EventScript();
    script.transaction((tx) => tx.insert(docs, { id: '1', title: 'a', body: 'long', data }));
    script.transaction((tx) => tx.update(docs, { id: '1', title: 'b', body: UNCHANGED, data: UNCHANGED }));
    await sink.deliver(script, { transactions: 1 });
    expect(await rawSource(indices, '1')).toBe(`{"id":1,"title":"b","body":"long","data":${data}}`);
  });

  test('are completed from the batch itself, newest value first', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(docs);
    const script = new EventScript();
    script.transaction((tx) => {
      tx.insert(docs, { id: '1', title: 'a', body: 'old', data });
      tx.update(docs, { id: '1', title: 'a', body: 'new', data: UNCHANGED });
      tx.update(docs, { id: '1', title: 'c', body: UNCHANGED, data: UNCHANGED });
    });
    await sink.deliver(script);
    expect(JSON.parse(await rawSource(indices, '1'))).toMatchObject({ title: 'c', body: 'new' });
    expect(await rawSource(indices, '1')).toContain(`"data":${data}`);
  });

  test('keep them when the row moves to other keys, also in a circle', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(docs);
    const script = new EventScript();
    script.transaction((tx) => {
      tx.insert(docs, { id: '1', title: 'a', body: 'one', data: null });
      tx.insert(docs, { id: '2', title: 'b', body: 'two', data: null });
    });
    const rest = { body: UNCHANGED, data: UNCHANGED } as const;
    script.transaction((tx) => {
      tx.update(docs, { id: '9', title: 'a', ...rest }, { oldKey: { id: '1' } });
      tx.update(docs, { id: '1', title: 'b', ...rest }, { oldKey: { id: '2' } });
      tx.update(docs, { id: '2', title: 'a', ...rest }, { oldKey: { id: '9' } });
    });
    await sink.deliver(script, { transactions: 1 });
    expect(await sources(indices, 'docs')).toEqual({
      1: { id: 1, title: 'b', body: 'two', data: null },
      2: { id: 2, title: 'a', body: 'one', data: null },
    });
  });

  test('are rejected by name when nothing has the value; the rest of the batch is written', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(docs);
    const script = new EventScript();
    script.transaction((tx) => {
      tx.update(docs, { id: '7', title: 'b', body: UNCHANGED, data: null });
      tx.insert(docs, { id: '8', title: 'c', body: '', data: null });
    });
    const { accepted, rejected } = await sink.write(sink.batch(script));
    expect(accepted).toBeUndefined();
    expect(rejected).toEqual([
      { item: 0, reason: 'E_UNSUPPORTED_ROW', detail: expect.stringContaining('leaves body unchanged') },
    ]);
    expect(rejected[0]?.detail).toContain('ALTER TABLE "public"."docs" REPLICA IDENTITY FULL');
    expect(await sources(indices, 'docs')).toEqual({ 8: { id: 8, title: 'c', body: '', data: null } });
    expect(await sink.sink.flush(sink.signal)).toBeUndefined();
  });

  test('a repeated update of a row that was deleted since is no loss', async () => {
    await using indices = await createTestIndices();
    const script = new EventScript();
    script.transaction((tx) => tx.insert(docs, { id: '1', title: 'a', body: 'long', data: null }));
    const durable = script.end;
    script.transaction((tx) => tx.update(docs, { id: '1', title: 'b', body: UNCHANGED, data: null }));
    script.transaction((tx) => tx.delete(docs, { id: '1' }));
    {
      await using first = fixture(indices);
      await first.open();
      await first.prepare(docs);
      await first.deliver(script, { transactions: 1, after: undefined });
      // As if it had been killed before the position moved on.
    }
    const positions = `${indices.url}/${indices.prefix}positions/_update/shop%2Fsearch`;
    await fetch(positions, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ doc: { checkpoint: { commit_lsn: '0/0', seq: 0, end_lsn: '0/1' } } }),
    });
    await using second = fixture(indices);
    await second.open();
    await second.prepare(docs);
    await second.deliver(script, { transactions: 1, after: durable.position });
    expect(await sources(indices, 'docs')).toEqual({});
    // New events pass, the row is not missed.
    const after = script.end.position;
    script.transaction((tx) => tx.insert(docs, { id: '2', title: 'a', body: 'x', data: null }));
    await second.deliver(script, { after });
    expect(Object.keys(await sources(indices, 'docs'))).toEqual(['2']);
  });
});
