import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fileConnector } from '../../../connectors/file/file-connector.ts';
import { EventScript, relation, sinkContext } from '../batch-builder.ts';
import { Directory, parseLines, signal, toFile } from './file-harness.ts';

const orders = relation({ table: 'orders', key: ['id'], columns: { id: 'int8', note: 'text' } });
const lines = relation({ table: 'order_lines', key: ['id'], columns: { id: 'int8' } });
const DEFAULT = 'public.orders.ndjson';

function oneOrder(id: string, script = new EventScript()): EventScript {
  script.transaction((tx) => tx.insert(orders, { id, note: 'a' }));
  return script;
}

test('a file per table, a line per change, and a position that is durable once flushed', async () => {
  await using dir = new Directory();
  const { delivery, sink, stored } = await dir.open();
  expect(stored).toBeUndefined();
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(orders, { id: '1', note: 'é\n"' });
    tx.insert(lines, { id: '7' });
    tx.update(orders, { id: '1', note: null });
    tx.delete(orders, { id: '1' });
  });
  const result = await delivery.write(script);
  expect(result).toEqual({ accepted: script.end, rejected: [] });
  expect(dir.files()).toEqual(['public.order_lines.ndjson', DEFAULT]);
  expect(dir.lines(DEFAULT).map((line) => [line['op'], line['after']])).toEqual([
    ['c', { id: 1, note: 'é\n"' }],
    ['u', { id: 1, note: null }],
    ['d', null],
  ]);
  expect(dir.lines('public.order_lines.ndjson')).toMatchObject([
    { after: { id: 7 }, source: { table: 'order_lines' } },
  ]);
  expect(await sink.flush()).toEqual(script.end);
  await sink.close();
  expect((await dir.open()).stored).toEqual(script.end);
});

test('key and value, with the tombstones', async () => {
  await using dir = new Directory();
  const { delivery } = await dir.open({ file: 'all.ndjson' }, [
    toFile({ records: 'key_value', format: 'plain' }),
  ]);
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(orders, { id: '1', note: 'a' });
    tx.update(orders, { id: '2', note: 'a' }, { oldKey: { id: '1' } });
    tx.delete(orders, { id: '2' });
  });
  await delivery.write(script);
  expect(dir.lines('all.ndjson')).toEqual([
    { key: { id: 1 }, value: { id: 1, note: 'a' } },
    { key: { id: 1 }, value: null },
    { key: { id: 2 }, value: { id: 2, note: 'a' } },
    { key: { id: 2 }, value: null },
  ]);
});

test('one file for several tables keeps the order of the log', async () => {
  await using dir = new Directory();
  const { delivery } = await dir.open({ file: 'events/all.ndjson' }, [toFile({ format: 'plain' })]);
  const script = new EventScript();
  for (let i = 1; i < 6; i++) {
    script.transaction((tx) => {
      tx.insert(orders, { id: `${i}0`, note: null });
      tx.insert(lines, { id: String(i) });
    });
  }
  await delivery.write(script, { transactions: 2 });
  const after = script.batch({ transactions: 2 }).to.position;
  await delivery.write(script, { after });
  expect(dir.lines('events/all.ndjson').map(({ id }) => id)).toEqual([10, 1, 20, 2, 30, 3, 40, 4, 50, 5]);
});

test('a line is a line, also with a json value that has several', async () => {
  const docs = relation({ table: 'docs', key: ['id'], columns: { id: 'int4', doc: 'json' } });
  await using dir = new Directory();
  const { delivery } = await dir.open({}, [toFile({ format: 'plain' })]);
  const script = new EventScript();
  script.transaction((tx) => tx.insert(docs, { id: '1', doc: '{\n  "a": "b\\nc"\r\n}' }));
  await delivery.write(script);
  expect(dir.read('public.docs.ndjson').split('\n')).toHaveLength(2);
  expect(dir.lines('public.docs.ndjson')).toEqual([{ id: 1, doc: { a: 'b\nc' } }]);
});

test('what was not flushed is cut off at the next start and comes again once', async () => {
  await using dir = new Directory();
  const first = await dir.open();
  const script = oneOrder('1');
  await first.delivery.write(script);
  await first.sink.flush();
  const flushed = script.end;
  oneOrder('2', script);
  script.transaction((tx) => tx.insert(lines, { id: '5' }));
  await first.delivery.write(script, { after: flushed.position });
  const whole = dir.read(DEFAULT);
  await first.sink.close();
  appendFileSync(dir.path(DEFAULT), '{"torn":');

  const second = await dir.open();
  expect(second.stored).toEqual(flushed);
  expect(dir.lines(DEFAULT)).toHaveLength(1);
  // Named in the position before its first byte: known as ours, and emptied.
  expect(dir.read('public.order_lines.ndjson')).toBe('');
  await second.delivery.write(script, { after: second.stored?.position });
  expect(dir.read(DEFAULT)).toBe(whole);
  expect(dir.lines('public.order_lines.ndjson')).toHaveLength(1);
});

test('an event that has no faithful form is refused and nothing of its batch is written', async () => {
  const prices = relation({ table: 'prices', key: ['id'], columns: { id: 'int4', price: 'numeric' } });
  await using dir = new Directory();
  const { delivery, sink } = await dir.open();
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(prices, { id: '1', price: '1.5' });
    tx.insert(prices, { id: '2', price: 'NaN' });
  });
  const { accepted, rejected } = await delivery.write(script);
  expect(accepted).toBeUndefined();
  expect(rejected).toMatchObject([{ item: 1, reason: 'E_UNSUPPORTED_ROW' }]);
  expect(dir.files()).toEqual([]);
  expect(await sink.flush()).toBeUndefined();
});

test('names that a file cannot have are spelled so that no two tables meet', async () => {
  const odd = (schema: string, table: string, oid: number) =>
    relation({ schema, table, oid, key: ['id'], columns: { id: 'int4' } });
  await using dir = new Directory();
  const { delivery } = await dir.open();
  const script = new EventScript();
  script.transaction((tx) => {
    for (const [i, [schema, table]] of (
      [
        ['a.b', 'c'],
        ['a', 'b.c'],
        ['../up', 'x/y'],
        ['Größe', '50% "off"'],
        ['.', '..'],
      ] as const
    ).entries()) {
      tx.insert(odd(schema, table, 30_000 + i), { id: '1' });
    }
  });
  await delivery.write(script);
  expect(dir.files().sort()).toEqual(
    [
      'a%2Eb.c.ndjson',
      'a.b%2Ec.ndjson',
      '%2E%2E%2Fup.x%2Fy.ndjson',
      'Größe.50%25%20%22off%22.ndjson',
      '%2E.%2E%2E.ndjson',
    ].sort(),
  );
});

describe('what is not as the sink left it is refused by name', () => {
  async function flushed(dir: Directory): Promise<void> {
    const { delivery, sink } = await dir.open();
    await delivery.write(oneOrder('1'));
    await sink.flush();
    await sink.close();
  }
  const refused = (code: string, message: RegExp) => ({
    code,
    retriable: false,
    message: expect.stringMatching(message) as string,
  });

  test('a file that is shorter', async () => {
    await using dir = new Directory();
    await flushed(dir);
    truncateSync(dir.path(DEFAULT), 5);
    await expect(dir.open()).rejects.toMatchObject(refused('E_SINK_FOREIGN', /is shorter \(5 bytes\)/));
  });

  test('a file that is gone', async () => {
    await using dir = new Directory();
    await flushed(dir);
    rmSync(dir.path(DEFAULT));
    await expect(dir.open()).rejects.toMatchObject(refused('E_SINK_FOREIGN', /is gone/));
  });

  test('a file of somebody else where a table wants its own', async () => {
    await using dir = new Directory();
    writeFileSync(dir.path(DEFAULT), 'mine\n');
    const { delivery } = await dir.open();
    await expect(delivery.write(oneOrder('1'))).rejects.toMatchObject(
      refused('E_SINK_FOREIGN', /not from this sink/),
    );
    expect(dir.read(DEFAULT)).toBe('mine\n');
  });

  test('a file that somebody puts there between the first look and the first line', async () => {
    await using dir = new Directory();
    const { delivery, sink } = await dir.open();
    const script = oneOrder('1');
    // Refused as a whole: the route is made, the file is not.
    const prices = relation({ table: 'p', key: ['id'], columns: { id: 'int4', price: 'numeric' } });
    script.transaction((tx) => tx.insert(prices, { id: '1', price: 'NaN' }));
    expect((await delivery.write(script)).rejected).toHaveLength(1);
    writeFileSync(dir.path(DEFAULT), 'mine\n');
    await expect(delivery.write(script, { transactions: 1 })).rejects.toMatchObject(
      refused('E_SINK_FOREIGN', /not from this sink/),
    );
    await sink.flush();
    await sink.close();
    await dir.open();
    expect(dir.read(DEFAULT)).toBe('mine\n');
  });

  test('other files are left alone', async () => {
    await using dir = new Directory();
    writeFileSync(dir.path('notes.txt'), 'mine');
    await flushed(dir);
    const { sink } = await dir.open();
    await sink.close();
    expect(dir.read('notes.txt')).toBe('mine');
  });

  test('a file taken away or cut while it is written', async () => {
    await using dir = new Directory();
    const { delivery, sink } = await dir.open();
    const script = oneOrder('1');
    await delivery.write(script);
    rmSync(dir.path(DEFAULT));
    await expect(sink.flush()).rejects.toMatchObject(refused('E_SINK_FOREIGN', /was taken away/));
    writeFileSync(dir.path(DEFAULT), 'mine\n');
    await expect(sink.flush()).rejects.toMatchObject(refused('E_SINK_FOREIGN', /was replaced/));
  });

  test.each([
    ['another pipeline', { pipeline: 'other' }, /belongs to pipeline shop, not to other/],
    ['another sink', { name: 'other' }, /belongs to sink sink, not to other/],
    ['another database', { source: '9/9#1' }, /belongs to database 7419340581927034881\/16384, not to 9\/9/],
  ])('the directory of %s', async (_, context, message) => {
    await using dir = new Directory();
    await flushed(dir);
    await expect(dir.open({}, [toFile()], context)).rejects.toMatchObject(refused('E_SINK_FOREIGN', message));
  });

  test.each([
    ['empty', () => '', /it is empty/],
    ['cut off', (text: string) => text.slice(0, -20), /it is no JSON/],
    ['changed', (text: string) => text.replace('"size":', '"size":1'), /its checksum is wrong/],
    ['of a later version', (text: string) => text.replace('"version":1', '"version":2'), /it has version 2/],
  ])('a position that is %s', async (_, damage, message) => {
    await using dir = new Directory();
    await flushed(dir);
    const path = dir.path('.tailrace-position.json');
    writeFileSync(path, damage(readFileSync(path, 'utf8')));
    await expect(dir.open()).rejects.toMatchObject(refused('E_STATE', message));
  });

  test('a position that another instance has written in spite of the lock', async () => {
    await using dir = new Directory();
    const { delivery, sink } = await dir.open();
    await delivery.write(oneOrder('1'));
    const path = dir.path('.tailrace-position.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace(/"session":"[^"]*"/, '"session":"somebody"'));
    await expect(sink.flush()).rejects.toMatchObject(refused('E_FENCED', /Another instance/));
  });
});

test('a thousand tables in one batch do not take a thousand file descriptors for long', async () => {
  await using dir = new Directory();
  const { delivery, sink } = await dir.open({}, [toFile({ format: 'plain' })]);
  const script = new EventScript();
  const tables = Array.from({ length: 1000 }, (_, i) =>
    relation({ table: `t${i}`, oid: 50_000 + i, key: ['id'], columns: { id: 'int4' } }),
  );
  let after;
  for (let round = 0; round < 2; round++) {
    script.transaction((tx) => {
      for (const table of tables) tx.insert(table, { id: String(round) });
    });
    after = (await delivery.write(script, { after })).accepted?.position;
    await sink.flush();
    if (process.platform === 'linux') expect(readdirSync('/proc/self/fd').length).toBeLessThan(400);
  }
  expect(dir.files()).toHaveLength(1000);
  for (const file of dir.files()) expect(dir.read(file)).toBe('{"id":0}\n{"id":1}\n');
});

test('a template that leaves the directory is a mistake of the configuration', () => {
  for (const file of ['../x', '/x', 'a//b', '.hidden', 'a/../b', '{schema}/.{table}', 'a\\b']) {
    expect(() => fileConnector.config.parse({ path: 'x', file }), file).toThrow(/does not name a file below/);
  }
  expect(() => fileConnector.config.parse({ path: 'x', file: '{nope}' })).toThrow(/\{nope\}/);
  expect(() => fileConnector.config.parse({ path: 'x', rotate: {} })).toThrow(/give bytes, age or both/);
  expect(() => toFile({ format: 'plain', decimal_handling_mode: 'string' })).toThrow(
    /belongs to format: debezium/,
  );
});

test('check makes nothing and names every file', async () => {
  await using dir = new Directory();
  const about = async (path: string) => {
    const findings = [];
    const config = fileConnector.config.parse({ path });
    const tables = [{ mapping: toFile(), relation: orders }];
    const context = sinkContext({ dataDir: dir.dir });
    for await (const { level, about } of fileConnector.check({ config, context, tables, signal })) {
      findings.push(`${level}: ${about}`);
    }
    return findings;
  };
  expect(await about(dir.path('new/deep'))).toEqual([
    `ok: ${dir.path('new/deep')} will be made`,
    `ok: public.orders -> history: public.orders into ${dir.path('new/deep/public.orders.ndjson')}`,
  ]);
  expect(dir.files()).toEqual([]);
  mkdirSync(dir.path('d'));
  expect((await about(dir.path('d')))[0]).toMatch(/^ok: .* is writable$/);
  writeFileSync(dir.path('f'), '');
  expect((await about(dir.path('f')))[0]).toMatch(/^error: .* is no directory/);
});

test('lines of a batch that was refused do not come with the next one', async () => {
  await using dir = new Directory();
  const { delivery } = await dir.open({ file: 'all.ndjson' }, [toFile({ format: 'plain' })]);
  const script = oneOrder('1');
  writeFileSync(dir.path('all.ndjson'), 'in the way');
  await expect(delivery.write(script)).rejects.toMatchObject({ code: 'E_SINK_FOREIGN' });
  rmSync(dir.path('all.ndjson'));
  await delivery.write(script);
  expect(parseLines(dir.read('all.ndjson'))).toEqual([{ id: 1, note: 'a' }]);
});
