import { describe, expect, test } from 'vitest';
import { createTestIndices, type TestIndices } from '../../../support/elasticsearch.ts';
import { EventScript, relation } from '../../batch-builder.ts';
import { columnType, domainType, enumType, numericType } from '../../column-types.ts';
import { type FixtureOptions, SinkFixture } from '../sink-fixture.ts';

function fixture(indices: TestIndices, options: Partial<FixtureOptions> = {}): SinkFixture {
  return new SinkFixture({ url: indices.url, prefix: indices.prefix, ...options });
}

async function properties(indices: TestIndices, index: string): Promise<Record<string, unknown>> {
  const answer = await indices.client.indices.getMapping({ index: indices.name(index) });
  return Object.values(answer)[0]?.mappings.properties as Record<string, unknown>;
}

const types = relation({
  table: 'types',
  columns: {
    id: 'int8',
    b: 'bool',
    i2: 'int2',
    i4: 'int4',
    i8: 'int8',
    f4: 'float4',
    f8: 'float8',
    n: 'numeric',
    price: { type: numericType(10, 2) },
    t: 'text',
    vc: 'varchar',
    u: 'uuid',
    mood: { type: enumType('mood', ['sad', 'happy']) },
    d: 'date',
    ts: 'timestamp',
    tz: 'timestamptz',
    tm: 'time',
    iv: 'interval',
    j: 'json',
    jb: 'jsonb',
    bin: 'bytea',
    ip: 'inet',
    pt: 'point',
    rg: 'int4range',
    ints: '_int4',
    texts: '_text',
    dom: { type: domainType('positive', columnType('int4')) },
    'dotted.name': 'text',
  },
  key: ['id'],
});

describe('the mapping', () => {
  test('follows the column types', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(types);
    expect(await properties(indices, 'types')).toMatchObject({
      b: { type: 'boolean' },
      i2: { type: 'short' },
      i8: { type: 'long' },
      n: { type: 'double', ignore_malformed: true, fields: { keyword: { type: 'keyword' } } },
      price: { type: 'double' },
      t: { type: 'text', fields: { keyword: { type: 'keyword', ignore_above: 256 } } },
      u: { type: 'keyword' },
      mood: { type: 'keyword' },
      tz: { type: 'date', ignore_malformed: true },
      jb: { type: 'object', enabled: false },
      bin: { type: 'binary' },
      ip: { type: 'ip', ignore_malformed: true },
      ints: { type: 'integer' },
      dom: { type: 'integer' },
      dotted: { properties: { name: { type: 'text' } } },
    });
  });

  test('takes every value that PostgreSQL can hold, and _source keeps each digit', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    await sink.prepare(types);
    const many = '9'.repeat(400);
    const rows: Readonly<Record<string, string | null>>[] = [
      {},
      { b: 't', i2: '-32768', i4: '2147483647', i8: '9223372036854775807', f4: 'NaN', f8: '-Infinity' },
      { i8: '-9223372036854775808', f4: '3.4028235e+38', f8: '1.7976931348623157e+308', n: 'NaN' },
      { n: `${many}.${many}`, price: '-0.01', t: 'x'.repeat(100_000), vc: '\u0001"\\\n' },
      { d: 'infinity', ts: '-infinity', tz: 'infinity', ip: '10.0.0.1/24' },
      { d: '4713-01-01 BC', ts: '0044-03-15 12:00:00 BC', tz: '294276-12-31 23:59:59.999999+00' },
      { d: '5874897-12-31', ts: '2024-03-04 14:06:07.123456', tz: '2024-03-04 14:06:07.1+00' },
      { tm: '24:00:00', iv: '-178000000 years', ip: '2001:db8::1', pt: '(1,2)', rg: '[1,)' },
      { j: ' { "a.b..c" : 1.10, "": [1, "x", {}], "big": 12345678901234567890 } ', jb: '"scalar"' },
      { j: '[1]', jb: '{"_id": 1, "__proto__": {}}', bin: '\\x00ff' },
      { ints: '{1,NULL,3}', texts: '{{a,b},{c,NULL}}' },
      { ints: '[-1:0]={1,2}', texts: '{}', 'dotted.name': 'x' },
    ];
    const script = new EventScript();
    script.transaction((tx) => {
      for (const [i, row] of rows.entries()) tx.insert(types, { id: String(i), ...row });
    });
    await sink.deliver(script);
    const documents = await indices.documents(indices.name('types'));
    expect(documents.size).toBe(rows.length);
    const raw = async (id: number): Promise<string> =>
      (await fetch(`${indices.url}/${indices.name('types')}/_source/${id}`)).text();
    expect(await raw(1)).toContain('"i8":9223372036854775807');
    expect(await raw(3)).toContain(`"n":"${many}.${many}"`);
    expect(await raw(6)).toContain('"ts":"2024-03-04T14:06:07.123456"');
    expect(await raw(8)).toContain('"big": 12345678901234567890');
  });

  test('makes values findable', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices, { config: { refresh: true } });
    await sink.open();
    await sink.prepare(types);
    const script = new EventScript();
    script.transaction((tx) => {
      tx.insert(types, {
        id: '1',
        t: 'The quick brown fox',
        n: '12345678901234567890.5',
        price: '19.99',
        tz: '2024-03-04 14:06:07.123456+00',
        ip: '10.1.2.3',
        texts: '{red,green}',
        mood: 'happy',
      });
      tx.insert(types, { id: '2' });
    });
    await sink.deliver(script);
    const found = async (query: object): Promise<readonly (string | undefined)[]> => {
      const { hits } = await indices.client.search({ index: indices.name('types'), query });
      return hits.hits.map(({ _id }) => _id);
    };
    expect(await found({ match: { t: 'FOX' } })).toEqual(['1']);
    expect(await found({ term: { 't.keyword': 'The quick brown fox' } })).toEqual(['1']);
    expect(await found({ term: { 'n.keyword': '12345678901234567890.5' } })).toEqual(['1']);
    expect(await found({ range: { price: { gt: 19, lt: 20 } } })).toEqual(['1']);
    expect(await found({ range: { tz: { gte: '2024-03-04', lt: '2024-03-05' } } })).toEqual(['1']);
    expect(await found({ term: { ip: '10.1.0.0/16' } })).toEqual(['1']);
    expect(await found({ term: { 'texts.keyword': 'green' } })).toEqual(['1']);
    expect(await found({ term: { mood: 'happy' } })).toEqual(['1']);
    expect(await found({ bool: { must_not: { exists: { field: 't' } } } })).toEqual(['2']);
  });

  test("takes the configuration's own fields, settings and strictness", async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    const table = relation({ table: 'own', columns: { id: 'int8', state: 'text' }, key: ['id'] });
    await sink.prepare(table, {
      mappings: { state: { type: 'keyword', ignore_above: 10 } },
      settings: { number_of_shards: 2, refresh_interval: '7s' },
      dynamic: 'strict',
    });
    const index = indices.name('own');
    const found = (await indices.client.indices.get({ index }))[index];
    expect(found?.mappings).toMatchObject({
      dynamic: 'strict',
      properties: { state: { type: 'keyword', ignore_above: 10 } },
    });
    expect(found?.settings?.index).toMatchObject({ number_of_shards: '2', refresh_interval: '7s' });
    const wrong = relation({ table: 'wrong', columns: { id: 'int8' }, key: ['id'], oid: 20_000 });
    await expect(sink.prepare(wrong, { mappings: { id: { type: 'nope' } } })).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      message: expect.stringContaining('nope'),
    });
    await expect(sink.prepare(wrong, { mappings: { other: { type: 'long' } } })).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      message: expect.stringContaining('"other"'),
    });
  });

  test('grows with the table, above the limit of fields too', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    const narrow = relation({ table: 'wide', columns: { id: 'int8', a: 'text' }, key: ['id'] });
    await sink.prepare(narrow);
    const columns = Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`c${i}`, 'text']));
    const wide = relation({ table: 'wide', columns: { id: 'int8', a: 'text', ...columns }, key: ['id'] });
    await sink.prepare(wide);
    expect(Object.keys(await properties(indices, 'wide'))).toHaveLength(1502);
    const script = new EventScript();
    script.transaction((tx) => tx.insert(wide, { id: '1', c1499: 'x' }));
    await sink.deliver(script);
  });

  test('of an index that is there is completed where it fits, and refused by name where not', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    const table = relation({
      table: 'there',
      columns: { id: 'int8', at: 'timestamptz', qty: 'int4' },
      key: ['id'],
    });
    const index = indices.name('there');
    await indices.client.indices.create({
      index,
      mappings: { properties: { id: { type: 'keyword' }, qty: { type: 'boolean' } } },
    });
    await expect(sink.prepare(table)).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      message: expect.stringMatching(/^Field qty of the index .* is of type boolean; .* needs integer, long/),
    });
    await indices.client.indices.delete({ index });
    await indices.client.indices.create({
      index,
      mappings: { properties: { id: { type: 'keyword' }, qty: { type: 'long' } } },
    });
    await sink.prepare(table);
    expect(await properties(indices, 'there')).toMatchObject({
      id: { type: 'keyword' },
      at: { type: 'date' },
      qty: { type: 'long' },
    });
  });

  test('an index that drops the documents themselves is refused', async () => {
    await using indices = await createTestIndices();
    await using sink = fixture(indices);
    await sink.open();
    const table = relation({ table: 'nosource', columns: { id: 'int8' }, key: ['id'] });
    await indices.client.indices.create({
      index: indices.name('nosource'),
      mappings: { _source: { enabled: false } },
    });
    await expect(sink.prepare(table)).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      message: expect.stringContaining('_source'),
    });
  });
});
