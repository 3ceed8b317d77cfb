import { appendFileSync, mkdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { parseRotatedName, rotatedName } from '../../../connectors/file/file-name.ts';
import { type FileState, PositionFile, type StoredPosition } from '../../../connectors/file/position-file.ts';
import { EventScript, relation } from '../batch-builder.ts';
import { Directory, parseLines, toFile } from './file-harness.ts';

const t = relation({ table: 't', key: ['id'], columns: { id: 'int4', text: 'text' } });
const NAME = 't.ndjson';
const plain = [toFile({ format: 'plain', file: '{table}.ndjson' })];

/** Rows whose lines have about a hundred bytes each, one transaction a row. */
function rows(from: number, to: number, script = new EventScript()): EventScript {
  for (let id = from; id <= to; id++) {
    script.transaction((tx) => tx.insert(t, { id: String(id), text: 'x'.repeat(80) }));
  }
  return script;
}

function ids(text: string): unknown[] {
  return parseLines(text).map(({ id }) => id);
}

test('names of files that are put aside', () => {
  expect(rotatedName('a.b.ndjson', 7)).toBe('a.b.000007.ndjson');
  expect(rotatedName('dir.d/events', 1_234_567)).toBe('dir.d/events.1234567');
  expect(parseRotatedName('a.b.000007.ndjson')).toEqual({ name: 'a.b.ndjson', number: 7 });
  expect(parseRotatedName('dir.d/events.1234567')).toEqual({ name: 'dir.d/events', number: 1_234_567 });
  expect(parseRotatedName('a.b.ndjson')).toBeUndefined();
});

test('a file is put aside before it outgrows its limit, whole batches only', async () => {
  await using dir = new Directory();
  const { delivery, sink } = await dir.open({ rotate: { bytes: '1KiB' } }, plain);
  const script = rows(1, 30);
  let after;
  for (let i = 0; i < 10; i++) {
    after = (await delivery.write(script, { after, transactions: 3 })).accepted?.position;
  }
  await sink.flush();
  expect(dir.files()).toEqual(['t.000001.ndjson', 't.000002.ndjson', 't.000003.ndjson', NAME]);
  for (const file of dir.files()) expect(dir.read(file).length).toBeLessThanOrEqual(1024);
  expect(ids(dir.history(NAME))).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
});

test('age puts a file aside with the next delivery, also after a restart', async () => {
  await using dir = new Directory();
  const config = { rotate: { age: '1h' } };
  const first = await dir.open(config, plain);
  const script = rows(1, 1);
  let after = (await first.delivery.write(script)).accepted?.position;
  await first.sink.flush();
  await first.sink.close();
  dir.clock.ms += 59 * 60_000;
  const second = await dir.open(config, plain);
  rows(2, 2, script);
  after = (await second.delivery.write(script, { after })).accepted?.position;
  expect(dir.files()).toEqual([NAME]);
  dir.clock.ms += 60_000;
  // A batch that only moves the position is a delivery too.
  script.transaction((tx) => tx.message('x', 'y'));
  after = (await second.delivery.write(script, { after })).accepted?.position;
  expect(dir.files()).toEqual(['t.000001.ndjson']);
  rows(3, 3, script);
  await second.delivery.write(script, { after });
  expect([ids(dir.read('t.000001.ndjson')), ids(dir.read(NAME))]).toEqual([[1, 2], [3]]);
});

test('files put aside are compressed, those of an interrupted run too, and may be taken away', async () => {
  await using dir = new Directory();
  const config = { rotate: { bytes: '300B', compress: 'gzip' } };
  const first = await dir.open(config, plain);
  const script = rows(1, 12);
  let after;
  for (let i = 0; i < 4; i++) {
    after = (await first.delivery.write(script, { after, transactions: 3 })).accepted?.position;
  }
  await first.sink.compressed();
  await first.sink.flush();
  await first.sink.close();
  expect(dir.files()).toEqual(['t.000001.ndjson.gz', 't.000002.ndjson.gz', 't.000003.ndjson.gz', NAME]);
  expect(ids(dir.history(NAME))).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));

  rmSync(dir.path('t.000001.ndjson.gz'));
  // The second was interrupted half-way, the third between its new name and the end of the old.
  const second = dir.history(NAME).split('\n').slice(0, 3).join('\n');
  rmSync(dir.path('t.000002.ndjson.gz'));
  writeFileSync(dir.path('t.000002.ndjson'), `${second}\n`);
  writeFileSync(dir.path('t.000002.ndjson.gz.part'), gzipSync(second).subarray(0, 20));
  writeFileSync(dir.path('t.000003.ndjson'), '{"id":9}\n');
  writeFileSync(dir.path('t.000099.ndjson'), 'of somebody else\n');
  const again = await dir.open(config, plain);
  await again.sink.compressed();
  expect(dir.files()).toEqual(['t.000002.ndjson.gz', 't.000003.ndjson.gz', 't.000099.ndjson', NAME]);
});

test('a number that is taken is stepped over', async () => {
  await using dir = new Directory();
  writeFileSync(dir.path('t.000001.ndjson'), 'mine');
  writeFileSync(dir.path('t.000002.ndjson.gz'), 'mine');
  const { delivery } = await dir.open({ rotate: { bytes: '300B' } }, plain);
  const script = rows(1, 6);
  const { accepted } = await delivery.write(script, { transactions: 3 });
  await delivery.write(script, { after: accepted?.position });
  expect(ids(dir.read('t.000003.ndjson'))).toEqual([1, 2, 3]);
  expect(dir.read('t.000001.ndjson')).toBe('mine');
});

test.each([
  ['before the rename', false, ''],
  ['before the rename, with a torn line behind', false, '{"torn'],
  ['after the rename', true, ''],
])('killed %s, the next start finishes it', async (_, renamed, torn) => {
  await using dir = new Directory();
  const config = { rotate: { bytes: '300B' } };
  const first = await dir.open(config, plain);
  const script = rows(1, 6);
  const { accepted } = await first.delivery.write(script, { transactions: 3 });
  await first.sink.flush();
  await first.sink.close();
  const { session: _session, ...position } = JSON.parse(
    dir.read('.tailrace-position.json'),
  ) as StoredPosition & {
    session: string;
  };
  const { size } = position.files[NAME] as FileState;
  // What the position says from before the rename until after it.
  await new PositionFile(dir.dir, 'killed').write({
    pipeline: position.pipeline,
    sink: position.sink,
    database: position.database,
    checkpoint: position.checkpoint,
    files: { [NAME]: { size, rotations: 1, since_ms: 1, rotating: { to: 't.000001.ndjson', size } } },
  });
  if (renamed) renameSync(dir.path(NAME), dir.path('t.000001.ndjson'));
  else appendFileSync(dir.path(NAME), torn);

  const second = await dir.open(config, plain);
  expect(second.stored).toEqual(accepted);
  expect(dir.files()).toEqual(['t.000001.ndjson']);
  await second.delivery.write(script, { after: second.stored?.position });
  expect([ids(dir.read('t.000001.ndjson')), ids(dir.read(NAME))]).toEqual([
    [1, 2, 3],
    [4, 5, 6],
  ]);
});

test('putting aside that fails is gone on with, and the batch is written once', async () => {
  await using dir = new Directory();
  const { delivery, sink } = await dir.open({ rotate: { bytes: '300B' } }, plain);
  const script = rows(1, 6);
  const { accepted } = await delivery.write(script, { transactions: 3 });
  // A directory where the position is to be written: the first step fails.
  mkdirSync(dir.path('.tailrace-position.json.new'));
  await expect(delivery.write(script, { after: accepted?.position })).rejects.toMatchObject({
    code: 'E_SINK_CONFIG',
  });
  expect(dir.files()).toEqual([NAME]);
  rmdirSync(dir.path('.tailrace-position.json.new'));
  await delivery.write(script, { after: accepted?.position });
  await sink.flush();
  expect([ids(dir.read('t.000001.ndjson')), ids(dir.read(NAME))]).toEqual([
    [1, 2, 3],
    [4, 5, 6],
  ]);
});
