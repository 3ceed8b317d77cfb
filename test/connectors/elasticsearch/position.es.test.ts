import { describe, expect, test } from 'vitest';
import { createTestIndices, type TestIndices } from '../../support/elasticsearch.ts';
import { EventScript, relation } from '../batch-builder.ts';
import { type FixtureOptions, SinkFixture } from './sink-fixture.ts';

const orders = relation({ table: 'orders', columns: { id: 'int8', note: 'text' }, key: ['id'] });

function fixture(indices: TestIndices, options: Partial<FixtureOptions> = {}): SinkFixture {
  return new SinkFixture({ url: indices.url, prefix: indices.prefix, ...options });
}

interface Stored {
  readonly session: string;
  readonly checkpoint?: { readonly commit_lsn: string };
  readonly reserved: string;
  readonly indices: readonly { readonly name: string; readonly table: string }[];
}

async function stored(indices: TestIndices): Promise<Stored> {
  const { _source } = await indices.client.get<Stored>({
    index: `${indices.prefix}positions`,
    id: 'shop/search',
  });
  return _source as Stored;
}

function inserts(script: EventScript, ids: readonly number[]): void {
  script.transaction((tx) => {
    for (const id of ids) tx.insert(orders, { id: String(id), note: `note ${id}` });
  });
}

describe('the position', () => {
  test('is read back, and what comes again changes nothing', async () => {
    await using indices = await createTestIndices();
    const script = new EventScript();
    inserts(script, [1, 2]);
    {
      await using first = fixture(indices);
      await first.open();
      await first.prepare(orders);
      await first.deliver(script);
    }
    const before = await indices.documents(indices.name('orders'));
    await using second = fixture(indices);
    expect(await second.open()).toEqual(script.end);
    await second.prepare(orders);
    await second.deliver(script);
    expect(await indices.documents(indices.name('orders'))).toEqual(before);
  });

  test('moves at the end of a transaction only, and covers what was not for the sink', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    inserts(script, [1]);
    const whole = script.end;
    inserts(
      script,
      Array.from({ length: 100 }, (_, i) => i + 2),
    );
    await sink.write(sink.batch(script, { transactions: 1 }));
    const piece = sink.batch(script, { after: whole.position, events: 40 });
    expect(piece.wholeTransactions).toBe(false);
    await sink.write(piece);
    expect(await sink.sink.flush(sink.signal)).toEqual(whole);
    await sink.write(sink.batch(script, { after: piece.to.position }));
    expect(await sink.sink.flush(sink.signal)).toEqual(script.end);
    expect((await indices.documents(indices.name('orders'))).size).toBe(101);
    // Only progress: no item at all.
    const end = { ...script.end, endLsn: script.end.endLsn + 4096n };
    const nothing = { ...sink.batch(script, { after: script.end.position }), to: end };
    await sink.write(nothing);
    expect(await sink.sink.flush(sink.signal)).toEqual(end);
  });

  test('is not stored for a write that was refused in part', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(orders, { mappings: { note: { type: 'long' } } });
    const script = new EventScript();
    script.transaction((tx) => tx.insert(orders, { id: '1', note: '17' }));
    const good = script.end;
    script.transaction((tx) => tx.insert(orders, { id: '2', note: 'no number' }));
    await sink.write(sink.batch(script, { transactions: 1 }));
    const { accepted, rejected } = await sink.write(sink.batch(script, { after: good.position }));
    expect(accepted).toEqual(good);
    expect(rejected).toEqual([
      {
        item: 0,
        reason: 'document_parsing_exception',
        detail: 'the value of column note does not fit the type of its field',
      },
    ]);
    expect(await sink.sink.flush(sink.signal)).toEqual(good);
  });

  test('another instance takes over: the first one cannot move it, nor write on', async () => {
    await using indices = await createTestIndices();
    await using first = fixture(indices);
    await first.open();
    await first.prepare(orders);
    const script = new EventScript();
    inserts(script, [1]);
    await first.write(first.batch(script));
    await using second = fixture(indices);
    expect(await second.open()).toBeUndefined();
    await expect(first.sink.flush(first.signal)).rejects.toMatchObject({
      code: 'E_FENCED',
      retriable: false,
    });
    // Far on in the log it would have to reserve versions, even if it never stored its position.
    const far = new EventScript({ startLsn: script.end.endLsn + 2n ** 30n });
    inserts(far, [2]);
    await expect(first.write(first.batch(far))).rejects.toMatchObject({ code: 'E_FENCED' });
    await second.prepare(orders);
    expect(await second.deliver(script)).toEqual(script.end);
    expect([...(await indices.documents(indices.name('orders'))).keys()]).toEqual(['1']);
  });

  test('knows its own write when the answer was lost', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    inserts(script, [1]);
    await sink.write(sink.batch(script));
    // The same session's document, one state further than the sink knows.
    await indices.client.update({
      index: `${indices.prefix}positions`,
      id: 'shop/search',
      doc: { updated_at: '2020-01-01T00:00:00Z' },
    });
    expect(await sink.sink.flush(sink.signal)).toEqual(script.end);
  });

  test('of another database is refused', async () => {
    await using indices = await createTestIndices();
    {
      await using sink = fixture(indices);
      await sink.open();
    }
    await using other = fixture(indices, { context: { source: '999/5#1' } });
    await expect(other.open()).rejects.toMatchObject({ code: 'E_SINK_FOREIGN' });
    await using later = fixture(indices, { context: { source: '7419340581927034881/16384#2' } });
    await expect(later.open()).resolves.toBeUndefined();
  });

  test('damaged is refused, not taken for the beginning', async () => {
    await using indices = await createTestIndices();
    {
      await using sink = fixture(indices);
      await sink.open();
    }
    await indices.client.update({
      index: `${indices.prefix}positions`,
      id: 'shop/search',
      doc: { checkpoint: { commit_lsn: 'x', seq: 0, end_lsn: '0/1', source: '' } },
    });
    await using sink = fixture(indices);
    await expect(sink.open()).rejects.toMatchObject({ code: 'E_SINK_FOREIGN' });
  });

  test('gives back at its end what it had reserved', async () => {
    await using indices = await createTestIndices();
    const script = new EventScript();
    inserts(script, [1]);
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(orders);
    await sink.deliver(script);
    const version = script.end.position.commitLsn;
    expect(BigInt((await stored(indices)).reserved)).toBeGreaterThan(version);
    await sink.close();
    expect((await stored(indices)).reserved).toBe(String(version));
  });
});

describe('indices', () => {
  test('with documents of somebody else are refused', async () => {
    await using indices = await createTestIndices();
    await indices.client.index({ index: indices.name('orders'), id: '1', document: { id: 1 } });
    await using sink = fixture(indices);
    await sink.open();
    await expect(sink.prepare(orders)).rejects.toMatchObject({
      code: 'E_SINK_FOREIGN',
      message: expect.stringContaining('it holds 1 documents'),
    });
  });

  test('of another sink are refused, also when they are empty', async () => {
    await using indices = await createTestIndices();
    await using first = fixture(indices);
    await first.open();
    await first.prepare(orders);
    await using second = fixture(indices, { context: { name: 'other' } });
    await second.open();
    await expect(second.prepare(orders)).rejects.toMatchObject({
      code: 'E_SINK_FOREIGN',
      message: expect.stringContaining('shop/search writes public.orders to it'),
    });
  });

  test('are not shared by two tables or two mappings', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(orders, { index: indices.name('shared') });
    const customers = relation({
      table: 'customers',
      columns: { id: 'int8' },
      key: ['id'],
      oid: 20_000,
    });
    await expect(sink.prepare(customers, { index: indices.name('shared') })).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      message: expect.stringContaining('public.orders (tailrace.yaml:12:9) and public.customers'),
    });
    const twice = sink.mapping({ index: indices.name('shared') }, { where: 'tailrace.yaml:13:9' });
    await expect(sink.sink.prepare(twice, orders, sink.signal)).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
    });
  });

  test('a renamed table goes on in its index, another table does not', async () => {
    await using indices = await createTestIndices();
    const script = new EventScript();
    inserts(script, [1]);
    {
      await using sink = fixture(indices);
      await sink.open();
      await sink.prepare(orders, { index: indices.name('o') });
      await sink.deliver(script);
    }
    await using sink = fixture(indices);
    await sink.open();
    const other = relation({ table: 'others', columns: { id: 'int8' }, key: ['id'], oid: 20_000 });
    await expect(sink.prepare(other, { index: indices.name('o') })).rejects.toMatchObject({
      code: 'E_SINK_FOREIGN',
      message: expect.stringContaining('it holds rows of public.orders'),
    });
    const renamed = relation({ table: 'purchases', columns: { id: 'int8', note: 'text' }, key: ['id'] });
    await sink.prepare(renamed, { index: indices.name('o') });
    expect((await stored(indices)).indices).toMatchObject([
      { name: indices.name('o'), table: 'public.purchases' },
    ]);
  });

  test('that are gone since the last run are not made anew', async () => {
    await using indices = await createTestIndices();
    const script = new EventScript();
    inserts(script, [1]);
    {
      await using sink = fixture(indices);
      await sink.open();
      await sink.prepare(orders);
      await sink.deliver(script);
    }
    await indices.client.indices.delete({ index: indices.name('orders') });
    await using sink = fixture(indices);
    await sink.open();
    await expect(sink.prepare(orders)).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      message: expect.stringContaining('is gone'),
    });
    await indices.client.indices.create({ index: indices.name('orders') });
    await expect(sink.prepare(orders)).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      message: expect.stringContaining('replaced'),
    });
  });

  test('deleted under way are noticed before the position moves', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    inserts(script, [1]);
    const stood = await sink.deliver(script);
    const after = script.end.position;
    await indices.client.indices.delete({ index: indices.name('orders') });
    inserts(script, [2]);
    await sink.write(sink.batch(script, { after }));
    await expect(sink.sink.flush(sink.signal)).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      message: expect.stringContaining('was deleted while it was written to'),
    });
    await using next = fixture(indices);
    expect(await next.open()).toEqual(stood);
  });

  test('behind an alias can be replaced by a copy', async () => {
    await using indices = await createTestIndices();
    const { client } = indices;
    const script = new EventScript();
    inserts(script, [1, 2]);
    const alias = indices.name('orders');
    await client.indices.create({ index: `${alias}-1`, aliases: { [alias]: {} } });
    {
      await using sink = fixture(indices);
      await sink.open();
      await sink.prepare(orders);
      await sink.deliver(script);
    }
    await client.indices.refresh({ index: alias });
    await client.reindex({
      source: { index: alias },
      dest: { index: `${alias}-2`, version_type: 'external' },
      refresh: true,
    });
    await client.indices.updateAliases({
      actions: [{ remove: { index: `${alias}-1`, alias } }, { add: { index: `${alias}-2`, alias } }],
    });
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(orders);
    const after = script.end.position;
    inserts(script, [3]);
    await sink.deliver(script, { after });
    expect([...(await indices.documents(alias)).keys()].sort()).toEqual(['1', '2', '3']);
  });

  test('a foreign version is found out, a later one of our own is not', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    inserts(script, [1]);
    inserts(script, [1]);
    await sink.deliver(script, { after: undefined });
    await sink.deliver(script, { transactions: 1 });
    await indices.client.index({
      index: indices.name('orders'),
      id: '1',
      version: Number.MAX_SAFE_INTEGER,
      version_type: 'external',
      document: { id: 1 },
    });
    const after = script.end.position;
    inserts(script, [1]);
    await expect(sink.write(sink.batch(script, { after }))).rejects.toMatchObject({
      code: 'E_FOREIGN_VERSION',
      retriable: false,
      message: expect.stringContaining(`has version ${Number.MAX_SAFE_INTEGER}`),
    });
  });
});
