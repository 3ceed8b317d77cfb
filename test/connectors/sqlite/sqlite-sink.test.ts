import { expect, test } from 'vitest';
import { EventScript, NOT_CAPTURED, relation, UNCHANGED } from '../batch-builder.ts';
import { columnType, domainType, enumType, numericType } from '../column-types.ts';
import { MirrorFile, toMirror } from './mirror-harness.ts';

const orders = relation({
  table: 'orders',
  columns: { id: 'int8', status: 'text', note: 'text' },
  key: ['id'],
});

test('inserts, updates, deletes and truncates become rows, and the position moves with them', async () => {
  await using file = new MirrorFile();
  const { delivery, sink, stored } = await file.open();
  expect(stored).toBeUndefined();
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(orders, { id: '1', status: 'new', note: 'a' });
    tx.insert(orders, { id: '2', status: 'new', note: null });
    tx.read(orders, { id: '3', status: 'old', note: 'é' });
  });
  script.transaction((tx) => {
    tx.update(orders, { id: '1', status: 'paid', note: 'a' });
    tx.delete(orders, { id: '2' });
  });
  const result = await delivery.write(script);
  expect(result).toEqual({ accepted: script.end, durable: script.end, rejected: [] });
  expect(await sink.flush(new AbortController().signal)).toEqual(script.end);
  expect(file.rows('SELECT * FROM orders ORDER BY id')).toEqual([
    { id: 1n, status: 'paid', note: 'a' },
    { id: 3n, status: 'old', note: 'é' },
  ]);

  script.transaction((tx) => {
    tx.truncate(orders);
    tx.insert(orders, { id: '9', status: 'new', note: null });
  });
  await delivery.write(script, { after: result.accepted?.position });
  expect(file.rows('SELECT id FROM orders')).toEqual([{ id: 9n }]);
  expect((await file.open()).stored).toEqual(script.end);
});

test('a batch without items only moves the position', async () => {
  await using file = new MirrorFile();
  const { delivery, sink } = await file.open();
  const script = new EventScript();
  script.transaction((tx) => tx.message('audit', 'x'));
  await delivery.write(script);
  await sink.close();
  expect((await file.open()).stored).toEqual(script.end);
});

test('every kind of value is kept exactly', async () => {
  const types = relation({
    table: 'types',
    key: ['id'],
    columns: {
      id: 'int8',
      small: 'int2',
      huge: 'int8',
      amount: { type: numericType(30, 10) },
      free: 'numeric',
      real: 'float4',
      double: 'float8',
      flag: 'bool',
      raw: 'bytea',
      doc: 'jsonb',
      at: 'timestamptz',
      tags: '_text',
      mood: { type: enumType('mood', ['sad', 'ok']) },
      mail: { type: domainType('mail', columnType('text')) },
      year: { type: domainType('year', columnType('int4')) },
    },
  });
  const rows = [
    {
      id: '-9223372036854775808',
      small: '-32768',
      huge: '9223372036854775807',
      amount: '12345678901234567890.1234567890',
      free: 'NaN',
      real: '1.1',
      double: '5e-324',
      flag: 't',
      raw: '\\x00ff10',
      doc: '{"a": 1.10, "b": 12345678901234567890}',
      at: 'infinity',
      tags: '{a,"b c",NULL}',
      mood: 'ok',
      mail: 'x@example.com',
      year: '2024',
    },
    {
      id: '9007199254740993',
      small: '32767',
      huge: '-1',
      amount: '-0.0000000001',
      free: '1e1000'.replace('e1000', '0'.repeat(300)),
      real: 'NaN',
      double: '-Infinity',
      flag: 'f',
      raw: '\\x',
      doc: 'null',
      at: '0044-03-15 12:00:00+00 BC',
      tags: '{}',
      mood: 'sad',
      mail: '',
      year: '-4',
    },
    {
      id: '0',
      small: '0',
      huge: '1234567890123456',
      amount: '0.0000000000',
      free: '1.10',
      real: '0',
      double: '-0',
      flag: null,
      raw: null,
      doc: null,
      at: null,
      tags: null,
      mood: null,
      mail: null,
      year: null,
    },
  ];
  await using file = new MirrorFile();
  const { delivery } = await file.open();
  const script = new EventScript();
  script.transaction((tx) => {
    for (const row of rows) tx.insert(types, row);
  });
  await delivery.write(script);
  const [first, middle, last] = file.rows('SELECT * FROM types ORDER BY id').map((row) => ({ ...row }));
  expect(first).toEqual({
    ...rows[0],
    id: -9223372036854775808n,
    small: -32768n,
    huge: 9223372036854775807n,
    real: 1.1,
    double: 5e-324,
    flag: 1n,
    raw: new Uint8Array([0, 255, 16]),
    year: 2024n,
  });
  expect(last).toEqual({
    ...rows[1],
    id: 9007199254740993n,
    small: 32767n,
    huge: -1n,
    double: -Infinity,
    flag: 0n,
    raw: new Uint8Array(),
    year: -4n,
  });
  expect(Object.is(middle?.['double'], -0)).toBe(true);
  expect(middle).toMatchObject({ id: 0n, huge: 1234567890123456n, free: '1.10', flag: null, raw: null });
  expect(
    file.rows(
      `SELECT typeof(huge) huge, typeof(amount) amount, typeof(double) double, typeof(real) nan, typeof(flag) flag,
       typeof(raw) raw, typeof(doc) doc FROM types WHERE id = ?`,
      9007199254740993n,
    ),
  ).toEqual([
    {
      huge: 'integer',
      amount: 'text',
      double: 'real',
      nan: 'text',
      flag: 'integer',
      raw: 'blob',
      doc: 'text',
    },
  ]);
  // As in PostgreSQL, NaN is greater than every number.
  expect(file.rows('SELECT id FROM types ORDER BY real DESC LIMIT 1')).toEqual([{ id: 9007199254740993n }]);
});

test('text that is not UTF-8 is refused, replacement characters that were there are kept', async () => {
  await using file = new MirrorFile();
  const { delivery } = await file.open();
  const script = new EventScript();
  script.transaction((tx) => tx.insert(orders, { id: '1', status: 'a\uFFFDb', note: '𝄞' }));
  const { accepted } = await delivery.write(script);
  script.transaction((tx) => {
    tx.insert(orders, { id: '2', status: Buffer.from([0x61, 0xe9]) });
    tx.insert(orders, { id: '3', status: 'fine' });
  });
  const { rejected } = await delivery.write(script, { after: accepted?.position });
  expect(rejected).toMatchObject([{ item: 0, reason: 'E_ENCODING' }]);
  expect(file.rows('SELECT status, note FROM orders')).toEqual([{ status: 'a\uFFFDb', note: '𝄞' }]);
});

test('an unchanged large value stays as it is, also when the key changes', async () => {
  await using file = new MirrorFile();
  const { delivery } = await file.open();
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(orders, { id: '1', status: 'new', note: 'long' });
    tx.update(orders, { id: '1', status: 'paid', note: UNCHANGED });
    tx.update(orders, { id: '5', status: 'sent', note: UNCHANGED }, { oldKey: { id: '1' } });
    tx.update(orders, { id: '5', status: 'sent', note: null });
    tx.update(orders, { id: '5', status: null, note: UNCHANGED });
  });
  expect((await delivery.write(script)).rejected).toEqual([]);
  expect(file.rows('SELECT * FROM orders')).toEqual([{ id: 5n, status: null, note: null }]);
});

test('an update of a row that is not here is a new row, or refused when a value is missing', async () => {
  await using file = new MirrorFile();
  const { delivery } = await file.open();
  const script = new EventScript();
  script.transaction((tx) => {
    tx.update(orders, { id: '1', status: 'paid', note: 'a' });
    tx.update(orders, { id: '3', status: 'x', note: 'y' }, { oldKey: { id: '2' } });
    tx.delete(orders, { id: '77' });
  });
  const first = await delivery.write(script);
  script.transaction((tx) => {
    tx.insert(orders, { id: '8', status: 'new', note: 'kept out with the rest' });
    tx.update(orders, { id: '9', status: 'paid', note: UNCHANGED });
    tx.update(orders, { id: '11', status: 'paid', note: UNCHANGED }, { oldKey: { id: '10' } });
    tx.insert(orders, { id: '12', status: 'x', note: NOT_CAPTURED });
  });
  const second = await delivery.write(script, { after: first.accepted?.position });
  expect(second.accepted).toEqual(first.accepted);
  expect(second.rejected.map(({ item, reason }) => [item, reason])).toEqual([
    [1, 'unchanged_value_unknown'],
    [2, 'unchanged_value_unknown'],
    [3, 'unchanged_value_unknown'],
  ]);
  expect(file.rows('SELECT id FROM orders ORDER BY id')).toEqual([{ id: 1n }, { id: 3n }]);
  expect((await file.open()).stored).toEqual(first.accepted);
});

test('a delete and a new row with the same key, and keys that wander, end where the source ends', async () => {
  await using file = new MirrorFile();
  const { delivery } = await file.open();
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(orders, { id: '1', status: 'a' });
    tx.insert(orders, { id: '2', status: 'b' });
    tx.delete(orders, { id: '1' });
    tx.insert(orders, { id: '1', status: 'c' });
    tx.update(orders, { id: '-1', status: 'c' }, { oldKey: { id: '1' } });
    tx.update(orders, { id: '1', status: 'b' }, { oldKey: { id: '2' } });
    tx.update(orders, { id: '2', status: 'c' }, { oldKey: { id: '-1' } });
  });
  await delivery.write(script);
  expect(file.rows('SELECT id, status FROM orders ORDER BY id')).toEqual([
    { id: 1n, status: 'b' },
    { id: 2n, status: 'c' },
  ]);
});

test('a composite key with text, and a table that is all key', async () => {
  const tags = relation({
    table: 'tags',
    columns: { article: 'uuid', tag: 'text' },
    key: ['article', 'tag'],
  });
  const id = '0190c0de-0000-7000-8000-000000000001';
  await using file = new MirrorFile();
  const { delivery } = await file.open();
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(tags, { article: id, tag: 'x' });
    tx.insert(tags, { article: id, tag: "it's" });
    tx.update(tags, { article: id, tag: 'y' }, { oldKey: { article: id, tag: 'x' } });
    tx.update(tags, { article: id, tag: 'y' });
    tx.insert(tags, { article: id, tag: 'z' });
    tx.delete(tags, { article: id, tag: 'z' });
  });
  await delivery.write(script);
  expect(file.rows('SELECT tag FROM tags ORDER BY tag')).toEqual([{ tag: "it's" }, { tag: 'y' }]);
});

test('rows without key are a multiset when their images are whole', async () => {
  const log = relation({
    table: 'log',
    columns: { line: 'text', at: 'float8', raw: 'bytea' },
    replicaIdentity: 'full',
  });
  await using file = new MirrorFile();
  const { delivery } = await file.open();
  const script = new EventScript();
  const same = { line: 'same', at: '1.5', raw: '\\x01' };
  script.transaction((tx) => {
    tx.insert(log, same);
    tx.insert(log, same);
    tx.insert(log, same);
    tx.insert(log, { line: null, at: 'NaN', raw: null });
    tx.delete(log, same);
    tx.update(log, { ...same, line: 'other' }, { before: same });
    tx.update(log, { line: null, at: '0', raw: null }, { before: { line: null, at: 'NaN', raw: null } });
    tx.delete(log, { ...same, raw: '\\x02' });
  });
  expect((await delivery.write(script)).rejected).toEqual([]);
  expect(file.rows('SELECT line, at FROM log ORDER BY line')).toEqual([
    { line: null, at: 0 },
    { line: 'other', at: 1.5 },
    { line: 'same', at: 1.5 },
  ]);
});

test('the replica identity serves as key where the primary key is not in it', async () => {
  const base = relation({ table: 'users', columns: { id: 'int4', mail: 'text' }, key: ['id'] });
  const users = {
    ...base,
    replicaIdentity: 'index' as const,
    columns: base.columns.map((column) => ({
      ...column,
      inIdentity: column.name === 'mail',
      nullable: false,
    })),
  };
  await using file = new MirrorFile();
  const { delivery } = await file.open();
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(users, { id: '1', mail: 'a' });
    tx.insert(users, { id: '2', mail: 'b' });
    tx.update(users, { id: '3', mail: 'a' });
    tx.update(users, { id: '2', mail: 'c' }, { oldKey: { mail: 'b' } });
    tx.delete(users, { mail: 'a' });
  });
  await delivery.write(script);
  expect(file.rows('SELECT * FROM users')).toEqual([{ id: 2n, mail: 'c' }]);
});

test('a table whose rows cannot be found again is refused by name', async () => {
  await using file = new MirrorFile();
  const { sink } = await file.open();
  const signal = new AbortController().signal;
  const keyless = relation({ schema: 'My', table: 'log', columns: { line: 'text' } });
  await expect(sink.prepare(toMirror(), keyless, signal)).rejects.toMatchObject({
    code: 'E_REPLICA_IDENTITY',
    fix: expect.stringContaining('ALTER TABLE "My"."log" REPLICA IDENTITY FULL') as string,
  });
  const nullable = relation({
    table: 'n',
    columns: { a: { type: 'int4', nullable: true } },
    key: ['a'],
  });
  await expect(sink.prepare(toMirror(), nullable, signal)).rejects.toMatchObject({
    code: 'E_REPLICA_IDENTITY',
  });
});

test('mistakes in a mapping are named with their place', async () => {
  await using file = new MirrorFile();
  const { sink } = await file.open();
  const signal = new AbortController().signal;
  const prepare = (options: Parameters<typeof toMirror>[0], table = orders) =>
    sink.prepare(toMirror(options), table, signal);
  const refused = (message: RegExp): object => ({
    code: 'E_SINK_CONFIG',
    message: expect.stringMatching(message) as string,
  });
  await expect(prepare({ columns: { include: ['id', 'nope'] } })).rejects.toMatchObject(
    refused(/tailrace\.yaml:12:9.*no column nope/),
  );
  await expect(prepare({ columns: { exclude: ['id'] } })).rejects.toMatchObject(
    refused(/leaves out id, a column of the key/),
  );
  await expect(prepare({ search: { columns: ['nope'] } })).rejects.toMatchObject(
    refused(/search names nope/),
  );
  await expect(prepare({ table: '_tailrace_positions' })).rejects.toMatchObject(
    refused(/cannot be the name/),
  );
  const twins = relation({ table: 't', columns: { Id: 'int4', id: 'int4' }, key: ['id'] });
  await expect(prepare({}, twins)).rejects.toMatchObject(refused(/Id and id .* differ only in case/));
  const masked = relation({
    table: 't',
    columns: { id: 'int4', s: { type: 'text', captured: false } },
    key: ['id'],
  });
  await expect(prepare({ columns: { include: ['id', 's'] } }, masked)).rejects.toMatchObject(
    refused(/s of public\.t is not in the event log/),
  );
  expect(() => toMirror({ table: '{scheme}_x' })).toThrow(/names \{scheme\}/);
  expect(() => toMirror({ colums: [] })).toThrow(/colums/);
});

test('names with quotes, upper case and reserved words', async () => {
  const odd = relation({
    schema: 'Sch"ema',
    table: 'or"der\'s',
    columns: { 'sel"ect': 'int4', 'a b': 'text', rowid: 'text', oid: 'text' },
    key: ['sel"ect'],
  });
  await using file = new MirrorFile();
  const { delivery } = await file.open([
    toMirror({ table: '{schema}.{table}', search: { columns: ['a b'] } }),
  ]);
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(odd, { 'sel"ect': '1', 'a b': 'hello', rowid: 'r', oid: 'o' });
    tx.update(
      odd,
      { 'sel"ect': '2', 'a b': UNCHANGED, rowid: 's', oid: 'o' },
      { oldKey: { 'sel"ect': '1' } },
    );
  });
  expect((await delivery.write(script)).rejected).toEqual([]);
  expect(file.rows(`SELECT * FROM "Sch""ema.or""der's"`)).toEqual([
    { 'sel"ect': 2n, 'a b': 'hello', rowid: 's', oid: 'o' },
  ]);
  expect(
    file.rows(
      `SELECT rowid FROM "Sch""ema.or""der's_search" WHERE "Sch""ema.or""der's_search" MATCH 'hello'`,
    ),
  ).toEqual([{ rowid: 2n }]);
});

test('only the columns of the mapping are mirrored', async () => {
  await using file = new MirrorFile();
  const { delivery } = await file.open([toMirror({ columns: { exclude: ['note'] } })]);
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(orders, { id: '1', status: 'a', note: 'b' });
    tx.update(orders, { id: '1', status: 'c', note: UNCHANGED });
  });
  expect((await delivery.write(script)).rejected).toEqual([]);
  expect(file.rows('SELECT * FROM orders')).toEqual([{ id: 1n, status: 'c' }]);
});

test('two rows with one key at the same time are refused, not lost', async () => {
  const full = relation({
    table: 'full',
    columns: { id: 'int4', name: 'text' },
    key: ['id'],
    replicaIdentity: 'full',
  });
  await using file = new MirrorFile();
  const { delivery } = await file.open();
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(full, { id: '1', name: 'a' });
    tx.insert(full, { id: '2', name: 'b' });
  });
  const before = await delivery.write(script);
  // A deferrable key lets an UPDATE exchange them.
  script.transaction((tx) => {
    tx.update(full, { id: '2', name: 'a' }, { before: { id: '1', name: 'a' } });
    tx.update(full, { id: '1', name: 'b' }, { before: { id: '2', name: 'b' } });
  });
  const { rejected } = await delivery.write(script, { after: before.accepted?.position });
  expect(rejected[0]).toMatchObject({ item: 0, reason: 'duplicate_key' });
  expect(file.rows('SELECT * FROM full ORDER BY id')).toEqual([
    { id: 1n, name: 'a' },
    { id: 2n, name: 'b' },
  ]);
});
