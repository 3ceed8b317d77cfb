import { describe, expect, test } from 'vitest';
import type { ColumnSpec } from '../batch-builder.ts';
import { EventScript, type RelationSpec, relation } from '../batch-builder.ts';
import { numericType } from '../column-types.ts';
import { MirrorFile, type Options, toMirror } from './mirror-harness.ts';

type Columns = Readonly<Record<string, string | ColumnSpec>>;

function version(columns: Columns, rest: Partial<RelationSpec> = {}) {
  return relation({ table: 't', key: ['id'], columns, ...rest });
}

const first = version({ id: 'int4', a: 'text', b: 'text' });

/** One row under the first version, one under the next; what the mirror then holds. */
async function follow(
  file: MirrorFile,
  next: ReturnType<typeof version>,
  row: Record<string, string | null>,
  options: Options = {},
) {
  const { delivery } = await file.open([toMirror(options)]);
  const script = new EventScript();
  script.transaction((tx) => tx.insert(first, { id: '1', a: 'x', b: 'y' }));
  // Both versions in one batch: each row is written under its own.
  script.transaction((tx) => tx.insert(next, row));
  await delivery.write(script);
  return file.rows('SELECT * FROM t ORDER BY id');
}

describe('a mirror follows its table', () => {
  test('a column added, also between two rows of a transaction', async () => {
    await using file = new MirrorFile();
    const next = version({ id: 'int4', a: 'text', b: 'text', c: 'int8' });
    expect(await follow(file, next, { id: '2', a: 'x', b: 'y', c: '5' })).toEqual([
      { id: 1n, a: 'x', b: 'y', c: null },
      { id: 2n, a: 'x', b: 'y', c: 5n },
    ]);
  });

  test('a column dropped, and another made under its name', async () => {
    await using file = new MirrorFile();
    const next = version({ id: 'int4', b: 'text', a: { type: 'int8', attnum: 4 } });
    const withNumbers = {
      ...next,
      columns: next.columns.map((c) => (c.name === 'b' ? { ...c, attnum: 3 } : c)),
    };
    expect(await follow(file, withNumbers, { id: '2', a: '7', b: 'y' })).toEqual([
      { id: 1n, b: 'y', a: null },
      { id: 2n, b: 'y', a: 7n },
    ]);
  });

  test('columns that exchange their names', async () => {
    await using file = new MirrorFile();
    const next = version({
      id: 'int4',
      b: { type: 'text', attnum: 2 },
      a: { type: 'text', attnum: 3 },
    });
    expect(await follow(file, next, { id: '2', a: 'new a', b: 'new b' })).toEqual([
      { id: 1n, a: 'y', b: 'x' },
      { id: 2n, a: 'new a', b: 'new b' },
    ]);
  });

  test('a renamed key column', async () => {
    await using file = new MirrorFile();
    const next = version({ number: 'int8', a: 'varchar', b: 'text' }, { key: ['number'] });
    expect(
      await follow(file, next, { number: '2', a: 'x', b: 'y' }).catch(() => file.rows('SELECT * FROM t')),
    ).toEqual([
      { number: 1n, a: 'x', b: 'y' },
      { number: 2n, a: 'x', b: 'y' },
    ]);
  });

  test('a column that the catalog had forgotten when it was looked up, renamed', async () => {
    await using file = new MirrorFile();
    const { delivery } = await file.open();
    const script = new EventScript();
    const forgotten = version({ id: 'int4', a: 'text', b: { type: 'text', attnum: 0 } });
    const renamed = version({ id: 'int4', a: 'text', c: { type: 'text', attnum: 3 } });
    script.transaction((tx) => {
      tx.insert(first, { id: '1', a: 'x', b: '1' });
      tx.insert(forgotten, { id: '2', a: 'x', b: '2' });
      tx.insert(renamed, { id: '3', a: 'x', c: '3' });
    });
    await delivery.write(script);
    expect(file.rows('SELECT id, c FROM t ORDER BY id')).toEqual([
      { id: 1n, c: '1' },
      { id: 2n, c: '2' },
      { id: 3n, c: '3' },
    ]);
  });

  test('a renamed table takes its rows along', async () => {
    await using file = new MirrorFile();
    const { delivery } = await file.open([toMirror({ search: { columns: ['a'] } })]);
    const script = new EventScript();
    const renamed = version({ id: 'int4', a: 'text', b: 'text' }, { table: 'renamed' });
    script.transaction((tx) => tx.insert(first, { id: '1', a: 'apple', b: 'y' }));
    script.transaction((tx) => tx.insert(renamed, { id: '2', a: 'apples', b: 'y' }));
    await delivery.write(script);
    expect(file.rows('SELECT id FROM renamed ORDER BY id')).toEqual([{ id: 1n }, { id: 2n }]);
    expect(file.rows("SELECT rowid FROM renamed_search WHERE renamed_search MATCH 'apple*'")).toHaveLength(2);
    expect(file.rows("SELECT name FROM sqlite_schema WHERE name IN ('t', 't_search')")).toEqual([]);
  });

  test('a table dropped and made again begins empty', async () => {
    await using file = new MirrorFile();
    const again = version({ id: 'int4', z: 'text' }, { oid: 99_999 });
    expect(await follow(file, again, { id: '2', z: 'new' })).toEqual([{ id: 2n, z: 'new' }]);
  });

  test('a search index that is added, changed and removed', async () => {
    await using file = new MirrorFile();
    const keyed = relation({ table: 't', key: ['id'], columns: { id: 'text', a: 'text', b: 'text' } });
    const write = async (options: Options, id: string, lsn: bigint) => {
      const { delivery, sink } = await file.open([toMirror(options)]);
      const script = new EventScript({ startLsn: lsn });
      script.transaction((tx) => tx.insert(keyed, { id, a: 'running', b: 'shoes' }));
      await delivery.write(script);
      await sink.close();
    };
    const found = (query: string) =>
      file.rows('SELECT rowid FROM t_search WHERE t_search MATCH ?', query).length;
    await write({}, 'one', 0x1000n);
    await write({ search: { columns: ['a'] } }, 'two', 0x2000n);
    expect([found('running'), found('run'), found('shoes')]).toEqual([2, 0, 0]);
    await write({ search: { columns: ['a', 'b'], tokenizer: 'porter unicode61' } }, 'three', 0x3000n);
    expect([found('running'), found('run'), found('shoes')]).toEqual([3, 3, 3]);
    file.run('VACUUM');
    await write({ search: { columns: ['a', 'b'], tokenizer: 'porter unicode61' } }, 'four', 0x4000n);
    expect(found('run')).toBe(4);
    file.run("INSERT INTO t_search (t_search, rank) VALUES ('integrity-check', 1)");
    await write({}, 'five', 0x5000n);
    expect(file.rows("SELECT name FROM sqlite_schema WHERE name = 't_search'")).toEqual([]);
    expect(file.rows('SELECT count(*) n FROM t')).toEqual([{ n: 5n }]);
  });

  test('a row that moves to another key is found under it', async () => {
    await using file = new MirrorFile();
    const { delivery } = await file.open([toMirror({ search: { columns: ['a'] } })]);
    const script = new EventScript();
    script.transaction((tx) => {
      tx.insert(first, { id: '1', a: 'pear', b: 'x' });
      tx.update(first, { id: '2', a: 'pear', b: 'x' }, { oldKey: { id: '1' } });
    });
    await delivery.write(script);
    expect(file.rows("SELECT rowid FROM t_search WHERE t_search MATCH 'pear'")).toEqual([{ rowid: 2n }]);
  });

  test('a searched column that is renamed is searched under its new name', async () => {
    await using file = new MirrorFile();
    const before = await file.open([toMirror({ search: { columns: ['a'] } })]);
    const script = new EventScript();
    script.transaction((tx) => tx.insert(first, { id: '1', a: 'pear', b: 'y' }));
    const { accepted } = await before.delivery.write(script);
    const renamed = version({ id: 'int4', title: 'text', b: 'text' });
    script.transaction((tx) => tx.insert(renamed, { id: '2', title: 'pears', b: 'y' }));
    await expect(before.delivery.write(script, { after: accepted?.position })).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
    });
    const after = await file.open([toMirror({ search: { columns: ['title'] } })]);
    await after.delivery.write(script, {
      after: after.stored?.position,
      mappingsFor: (r) => (r === renamed ? [toMirror({ search: { columns: ['title'] } })] : []),
    });
    expect(file.rows("SELECT title FROM t_search WHERE t_search MATCH 'pear*'")).toHaveLength(2);
  });
});

describe('a mirror that cannot follow says why', () => {
  const cases: readonly [string, ReturnType<typeof version>, RegExp][] = [
    [
      'another type',
      version({ id: 'int4', a: 'jsonb', b: 'text' }),
      /column a changed its type from text to jsonb/,
    ],
    [
      'another scale',
      version({ id: 'int4', a: 'text', b: { type: numericType(9, 2) } }),
      /column b changed its type from text to numeric\(\*,2\)/,
    ],
    [
      'another key',
      version({ id: 'int4', a: 'text', b: 'text' }, { key: ['id', 'a'] }),
      /the key changed from \(id\) to \(id, a\)/,
    ],
  ];
  test.each(cases)('%s', async (_, next, message) => {
    await using file = new MirrorFile();
    const row = Object.fromEntries(next.columns.map(({ name }) => [name, '1']));
    await expect(follow(file, next, row)).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      retriable: false,
      message: expect.stringMatching(message) as string,
      fix: expect.stringContaining('begins anew with the oldest change') as string,
    });
    // Neither the row before it nor the position has moved.
    expect(file.rows('SELECT commit_lsn FROM _tailrace_positions')).toEqual([{ commit_lsn: null }]);
    expect(file.rows("SELECT name FROM sqlite_schema WHERE name = 't'")).toEqual([]);
  });

  test('a column that was left out before', async () => {
    await using file = new MirrorFile();
    const script = new EventScript();
    const before = await file.open([toMirror({ columns: { exclude: ['b'] } })]);
    script.transaction((tx) => tx.insert(first, { id: '1', a: 'x', b: 'y' }));
    const { accepted } = await before.delivery.write(script);
    script.transaction((tx) => tx.insert(first, { id: '2', a: 'x', b: 'y' }));
    const after = await file.open([toMirror()]);
    await expect(after.delivery.write(script, { after: accepted?.position })).rejects.toThrow(
      /column b was not mirrored before/,
    );
  });

  test('a table of somebody else', async () => {
    await using file = new MirrorFile();
    file.run('CREATE TABLE T (x)');
    const { delivery } = await file.open();
    const script = new EventScript();
    script.transaction((tx) => tx.insert(first, { id: '1', a: 'x', b: 'y' }));
    await expect(delivery.write(script)).rejects.toMatchObject({ code: 'E_SINK_FOREIGN' });
    const other = await file.open([toMirror({ table: 'mine' })], { name: 'other' });
    await other.delivery.write(script);
    const again = await file.open([toMirror({ table: 'mine' })], { name: 'third' });
    await expect(again.delivery.write(script)).rejects.toMatchObject({
      code: 'E_SINK_FOREIGN',
      message: expect.stringContaining('sink other') as string,
    });
  });

  test('two tables under one name', async () => {
    await using file = new MirrorFile();
    const { sink } = await file.open();
    const signal = new AbortController().signal;
    const mapping = toMirror();
    await sink.prepare(mapping, first, signal);
    await sink.prepare(mapping, version({ id: 'int4' }), signal);
    const other = relation({ schema: 'audit', table: 'T', oid: 5, key: ['id'], columns: { id: 'int4' } });
    await expect(sink.prepare(mapping, other, signal)).rejects.toThrow(
      /would mirror audit\.T and.*public\.t/,
    );
    await expect(sink.prepare(toMirror({}, 'tailrace.yaml:20:9'), first, signal)).rejects.toThrow(
      /by tailrace.yaml:12:9/,
    );
  });
});
