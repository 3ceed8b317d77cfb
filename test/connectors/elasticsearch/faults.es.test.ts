import { describe, expect, test } from 'vitest';
import type { Clock } from '../../../src/clock.ts';
import { systemClock } from '../../../src/clock.ts';
import type { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { createTestIndices, type TestIndices } from '../../support/elasticsearch.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';
import { waitFor } from '../../support/wait.ts';
import { EventScript, relation, UNCHANGED } from '../batch-builder.ts';
import { Gateway } from './gateway.ts';
import { readBulk } from './model-index.ts';
import { type FixtureOptions, SinkFixture } from './sink-fixture.ts';

const orders = relation({ table: 'orders', columns: { id: 'int8', note: 'text' }, key: ['id'] });
const SECRET = 'row-value-that-must-not-show';

/** Waits as the sink asks for, but no longer than a test may. */
const impatient: Clock = {
  ...systemClock,
  sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 5), signal),
};

function fixture(indices: TestIndices, options: Partial<FixtureOptions> = {}): SinkFixture {
  return new SinkFixture({
    url: indices.url,
    prefix: indices.prefix,
    ...options,
    context: { clock: impatient, ...options.context },
  });
}

function inserts(script: EventScript, ids: readonly number[], note = SECRET): void {
  script.transaction((tx) => {
    for (const id of ids) tx.insert(orders, { id: String(id), note });
  });
}

async function failure(promise: Promise<unknown>): Promise<TailraceError> {
  try {
    await promise;
  } catch (error) {
    expect((error as TailraceError).describe?.() ?? String(error)).not.toContain(SECRET);
    return error as TailraceError;
  }
  throw new Error('It succeeded.');
}

const hundred = Array.from({ length: 100 }, (_, i) => i);

describe('a broken way to the cluster', () => {
  test('an answer lost after the bulk was applied: the same batch again ends as it should', async () => {
    await using indices = await createTestIndices();
    const target = new URL(indices.url);
    await using proxy = await startTcpProxy({ host: target.hostname, port: Number(target.port) });
    await using sink = fixture(indices, { url: proxy.url(indices.url) });
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    inserts(script, hundred);
    const batch = sink.batch(script);
    // Versions are reserved by now: the next request is the bulk.
    await sink.write(sink.batch(script, { events: 1 }));
    proxy.cutAfter('down', 1);
    const error = await failure(sink.write(batch));
    expect(error).toMatchObject({ code: 'E_SINK_UNAVAILABLE', retriable: true });
    await waitFor(async () => (await indices.documents(indices.name('orders'))).size === 100, {
      describe: 'the bulk to be applied',
    });
    expect(await sink.write(batch)).toEqual({ accepted: script.end, rejected: [] });
    expect((await indices.documents(indices.name('orders'))).size).toBe(100);
    expect(await sink.sink.flush(sink.signal)).toEqual(script.end);
  });

  test('an answer that does not come: retriable after request_timeout, and nothing is lost or done twice', async () => {
    await using indices = await createTestIndices();
    const target = new URL(indices.url);
    await using proxy = await startTcpProxy({ host: target.hostname, port: Number(target.port) });
    await using sink = fixture(indices, {
      url: proxy.url(indices.url),
      config: { request_timeout: '700ms' },
    });
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    inserts(script, hundred);
    const batch = sink.batch(script);
    await sink.write(sink.batch(script, { events: 1 }));
    proxy.stall('down');
    const error = await failure(sink.write(batch));
    expect(error).toMatchObject({ code: 'E_SINK_UNAVAILABLE', retriable: true });
    expect(error.message).toContain('request_timeout');
    await proxy.pass();
    await sink.write(batch);
    expect((await indices.documents(indices.name('orders'))).size).toBe(100);
  });

  test('a cluster that is down is waited for; aborting ends the wait', async () => {
    await using indices = await createTestIndices();
    const target = new URL(indices.url);
    await using proxy = await startTcpProxy({ host: target.hostname, port: Number(target.port) });
    await proxy.refuse();
    await using sink = fixture(indices, { url: proxy.url(indices.url) });
    expect(await failure(sink.open())).toMatchObject({ code: 'E_SINK_UNAVAILABLE', retriable: true });
    await proxy.pass();
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    inserts(script, hundred);
    proxy.stall('down');
    const writing = sink.write(sink.batch(script));
    sink.abort();
    await expect(writing).rejects.toThrow('aborted by the test');
    await proxy.pass();
  });

  test('a gateway with an error page of its own: retriable, applied or not', async () => {
    await using indices = await createTestIndices();
    await using gateway = await Gateway.start(indices.url);
    await using sink = fixture(indices, { url: gateway.url });
    await sink.open();
    await sink.prepare(orders);
    for (const [i, status] of [408, 429, 500, 502, 503, 504].entries()) {
      const script = new EventScript({ startLsn: BigInt(i + 1) * 1_000_000n });
      inserts(script, hundred);
      const batch = sink.batch(script);
      gateway.hook = ({ path }) =>
        path.startsWith('/_bulk') ? { status, body: '<html>busy</html>', applied: i % 2 === 0 } : undefined;
      expect(await failure(sink.write(batch))).toMatchObject({
        code: 'E_SINK_UNAVAILABLE',
        retriable: true,
      });
      gateway.hook = () => undefined;
      await sink.write(batch);
      const first = (await indices.documents(indices.name('orders'))).get('0');
      expect(first?.version).toBe(Number(script.end.position.commitLsn));
    }
  });

  test('an answer cut off, or not JSON, is no success', async () => {
    await using indices = await createTestIndices();
    await using gateway = await Gateway.start(indices.url);
    await using sink = fixture(indices, { url: gateway.url });
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    inserts(script, hundred);
    const batch = sink.batch(script);
    for (const body of [
      '<html>hello</html>',
      '{"errors":true,"items":[{"ind',
      '{"errors":true,"items":[]}',
    ]) {
      gateway.hook = ({ path }) =>
        path.startsWith('/_bulk') ? { status: 200, body, contentType: 'application/json' } : undefined;
      expect(await failure(sink.write(batch))).toMatchObject({
        code: 'E_SINK_UNAVAILABLE',
        retriable: true,
      });
    }
  });

  test('what is too old, or something else, is named before anything is written', async () => {
    await using indices = await createTestIndices();
    await using gateway = await Gateway.start(indices.url);
    const answers = [
      ['{"version":{"number":"7.17.29"}}', 'E_SINK_CONFIG', 'Elasticsearch 7.17.29 is too old'],
      [
        '{"version":{"number":"3.2.0","distribution":"opensearch"}}',
        'E_SINK_CONFIG',
        'OpenSearch 3.2.0 is too old',
      ],
      ['{"hello":"world"}', 'E_SINK_CONFIG', 'neither Elasticsearch nor OpenSearch'],
      ['<html>a user interface</html>', 'E_SINK_UNAVAILABLE', 'does not speak JSON'],
    ] as const;
    for (const [body, code, message] of answers) {
      gateway.hook = () => ({ status: 200, body, contentType: 'application/json' });
      await using sink = fixture(indices, { url: gateway.url });
      const error = await failure(sink.open());
      expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
    }
    expect(await indices.client.indices.exists({ index: `${indices.prefix}positions` })).toBe(false);
  });

  test('several nodes: one that is gone is left out', async () => {
    await using indices = await createTestIndices();
    const target = new URL(indices.url);
    await using proxy = await startTcpProxy({ host: target.hostname, port: Number(target.port) });
    await using sink = fixture(indices, { config: { url: [proxy.url(indices.url), indices.url] } });
    await sink.open();
    await sink.prepare(orders);
    await proxy.refuse();
    const script = new EventScript();
    inserts(script, hundred);
    const batch = sink.batch(script);
    const delivered = async (): Promise<boolean> => {
      try {
        await sink.write(batch);
        return true;
      } catch (error) {
        expect(error).toMatchObject({ code: 'E_SINK_UNAVAILABLE' });
        return false;
      }
    };
    await waitFor(delivered, { describe: 'a write by the other node' });
    expect((await indices.documents(indices.name('orders'))).size).toBe(100);
  });
});

describe('order per document', () => {
  test('a document on its way holds back its own later operations, and no others', async () => {
    await using indices = await createTestIndices();
    await using gateway = await Gateway.start(indices.url);
    await using sink = fixture(indices, { url: gateway.url });
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    inserts(script, [1, 2]);
    const first = script.end;
    script.transaction((tx) => {
      tx.delete(orders, { id: '1' });
      tx.insert(orders, { id: '3', note: 'x' });
    });
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    gateway.hook = async ({ path }) => {
      if (path.startsWith('/_bulk') && gateway.bulks.length === 1) await held;
      return undefined;
    };
    const writeFirst = sink.write(sink.batch(script, { transactions: 1 }));
    const writeSecond = sink.write(sink.batch(script, { after: first.position }));
    await waitFor(() => gateway.bulks.length === 2, { describe: 'what is free of the second batch' });
    const idsOf = (i: number): readonly string[] =>
      readBulk(gateway.bulks[i]?.body ?? Buffer.from('\n')).map(({ id }) => id);
    expect([idsOf(0), idsOf(1)]).toEqual([['1', '2'], ['3']]);
    release();
    await writeFirst;
    await writeSecond;
    expect(idsOf(2)).toEqual(['1']);
    expect([...(await indices.documents(indices.name('orders'))).keys()].sort()).toEqual(['2', '3']);
  });

  test('a failed first write is repeated before what waits for it', async () => {
    await using indices = await createTestIndices();
    await using gateway = await Gateway.start(indices.url);
    await using sink = fixture(indices, { url: gateway.url });
    await sink.open();
    const docs = relation({ table: 'docs', columns: { id: 'int8', body: 'text', n: 'int4' }, key: ['id'] });
    await sink.prepare(docs);
    const script = new EventScript();
    script.transaction((tx) => tx.insert(docs, { id: '1', body: 'long', n: '1' }));
    const first = sink.batch(script);
    const after = script.end.position;
    script.transaction((tx) => tx.update(docs, { id: '1', body: UNCHANGED, n: '2' }));
    gateway.hook = ({ path }) => (path.startsWith('/_bulk') ? { status: 503, body: '' } : undefined);
    const writeFirst = sink.write(first);
    // Its values come from what the first one writes: it waits, although it could be read from an index without the row.
    const writeSecond = sink.write(sink.batch(script, { after }));
    expect(await failure(writeFirst)).toMatchObject({ code: 'E_SINK_UNAVAILABLE' });
    gateway.hook = () => undefined;
    await sink.write(first);
    expect(await writeSecond).toEqual({ accepted: script.end, rejected: [] });
    const documents = await indices.documents(indices.name('docs'));
    expect(documents.get('1')?.source).toEqual({ id: 1, body: 'long', n: 2 });
  });
});

describe('a cluster that refuses', () => {
  test('an index blocked for writing is waited for, loudly once', async () => {
    await using indices = await createTestIndices();
    const alarms: string[] = [];
    const logger = { ...silentLogger, error: (_: object, message: string) => void alarms.push(message) };
    await using sink = fixture(indices, { context: { logger } });
    await sink.open();
    await sink.prepare(orders);
    const index = indices.name('orders');
    for (const block of ['read_only_allow_delete', 'write']) {
      await indices.client.indices.putSettings({ index, settings: { blocks: { [block]: true } } });
      const script = new EventScript({ startLsn: block === 'write' ? 90_000_000n : 80_000_000n });
      inserts(script, hundred);
      const batch = sink.batch(script);
      alarms.length = 0;
      for (let i = 0; i < 2; i++) {
        const error = await failure(sink.write(batch));
        expect(error).toMatchObject({ code: 'E_SINK_UNAVAILABLE', retriable: true });
        expect(error.fix).toContain(index);
      }
      expect(alarms).toEqual([expect.stringContaining('blocked for writing')]);
      await indices.client.indices.putSettings({ index, settings: { blocks: { [block]: null } } });
      await sink.write(batch);
    }
    expect((await indices.documents(index)).size).toBe(100);
  });

  test('a closed index is named, with the request that opens it', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(orders);
    const index = indices.name('orders');
    await indices.client.indices.close({ index });
    const script = new EventScript();
    inserts(script, [1]);
    expect(await failure(sink.write(sink.batch(script)))).toMatchObject({
      code: 'E_SINK_CONFIG',
      retriable: false,
      fix: `POST /${index}/_open`,
    });
    await using other = fixture(indices);
    await other.open();
    expect(await failure(other.prepare(orders))).toMatchObject({
      code: 'E_SINK_CONFIG',
      message: `${index} is closed.`,
    });
  });

  test('documents that can never be indexed are rejected by item, the others are written', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    const table = relation({
      table: 'mixed',
      columns: { id: 'int8', day: 'text', term: 'text', data: 'json' },
      key: ['id'],
    });
    await sink.prepare(table, {
      mappings: { day: { type: 'date' }, term: { type: 'keyword' } },
    });
    const script = new EventScript();
    const row = { day: '2024-01-01', term: 'x', data: '1' };
    script.transaction((tx) => {
      tx.insert(table, { id: '1', ...row });
      tx.insert(table, { id: '2', ...row, day: SECRET });
      tx.insert(table, { id: '3', ...row, term: SECRET.repeat(2000) });
      tx.insert(table, { id: '4', ...row, data: `{"a":"${SECRET}","a":2}` });
      tx.insert(table, { id: '5', ...row });
    });
    const { rejected } = await sink.write(sink.batch(script));
    expect(JSON.stringify(rejected)).not.toContain(SECRET);
    expect(rejected).toEqual([
      {
        item: 1,
        reason: 'document_parsing_exception',
        detail: 'the value of column day does not fit the type of its field',
      },
      // An immense term: from 8.18 on seen when the document is parsed, before that when it is indexed.
      { item: 2, reason: expect.any(String), detail: expect.stringContaining('the value of column term') },
      {
        item: 3,
        reason: 'document_parsing_exception',
        detail: 'the index cannot read the document as its mapping says',
      },
    ]);
    expect([...(await indices.documents(indices.name('mixed'))).keys()].sort()).toEqual(['1', '5']);
  });

  test('one operation that spoils its whole request is found among many', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    const route = await sink.prepare(orders);
    const script = new EventScript();
    inserts(script, hundred);
    // No id of ours is this long: what makes them is left out here.
    const broken = {
      ...route,
      plainIds: false,
      idOf: (event: Parameters<typeof route.idOf>[0], side: 'before' | 'after') => {
        const id = route.idOf(event, side);
        return id === '77' ? 'x'.repeat(513) : id;
      },
    };
    const { rejected } = await sink.write(sink.batch(script, { routes: () => [broken] }));
    expect(rejected).toEqual([
      { item: 77, reason: 'action_request_validation_exception', detail: expect.any(String) },
    ]);
    expect((await indices.documents(indices.name('orders'))).size).toBe(99);
    const all = { ...broken, idOf: () => 'x'.repeat(513) };
    const next = new EventScript({ startLsn: 100_000_000n });
    inserts(next, [1]);
    inserts(next, [2]);
    const unlike = {
      ...all,
      idOf: (event: Parameters<typeof route.idOf>[0]) => 'x'.repeat(512 + event.seq + event.transaction.xid),
    };
    expect(await failure(sink.write(sink.batch(next, { routes: () => [unlike] })))).toMatchObject({
      code: 'E_SINK_CONFIG',
    });
  });

  test('ids above 512 bytes, with quotes or backslashes, find their documents again', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    const table = relation({ table: 'named', columns: { name: 'text', n: 'int4' }, key: ['name'] });
    await sink.prepare(table);
    const names = ['é'.repeat(300), 'a"b\\c', '', '\\0', `\\#${'0'.repeat(64)}`, 'line\nbreak\u2028', '😀'];
    const script = new EventScript();
    script.transaction((tx) => {
      for (const name of names) tx.insert(table, { name, n: '1' });
    });
    script.transaction((tx) => {
      for (const name of names.slice(1)) tx.delete(table, { name });
      tx.update(table, { name: names[0] as string, n: '2' });
    });
    await sink.deliver(script, { transactions: 1 });
    const documents = await indices.documents(indices.name('named'));
    expect([...documents.values()].map(({ source }) => source)).toEqual([{ name: names[0], n: 2 }]);
    expect([...documents.keys()][0]).toMatch(/^\\#[0-9a-f]{64}$/);
  });
});
