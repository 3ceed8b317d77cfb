import { writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { sqliteConnector } from '../../../connectors/sqlite/sqlite-connector.ts';
import { EventScript, relation, sinkContext } from '../batch-builder.ts';
import { Delivery } from '../deliver.ts';
import { MirrorFile, toMirror } from './mirror-harness.ts';

const t = relation({ table: 't', key: ['id'], columns: { id: 'int4', a: 'text' } });

test('who opens last writes; the instance before it is told and leaves nothing behind', async () => {
  await using file = new MirrorFile();
  const first = await file.open();
  const script = new EventScript();
  script.transaction((tx) => tx.insert(t, { id: '1', a: 'first' }));
  const { accepted } = await first.delivery.write(script);
  const second = await file.open();
  expect(second.stored).toEqual(accepted);
  script.transaction((tx) => tx.insert(t, { id: '2', a: 'second' }));
  await expect(first.delivery.write(script, { after: accepted?.position })).rejects.toMatchObject({
    code: 'E_FENCED',
    retriable: false,
  });
  expect(file.rows('SELECT id FROM t')).toEqual([{ id: 1n }]);
  await second.delivery.write(script, { after: second.stored?.position });
  expect(file.rows('SELECT id FROM t')).toEqual([{ id: 1n }, { id: 2n }]);
});

test('two sinks share a file, each with a position of its own', async () => {
  await using file = new MirrorFile();
  const one = await file.open([toMirror({ table: 'one' })], { name: 'one' });
  const two = await file.open([toMirror({ table: 'two' })], { name: 'two' });
  const script = new EventScript();
  script.transaction((tx) => tx.insert(t, { id: '1', a: 'x' }));
  await one.delivery.write(script);
  await two.delivery.write(script);
  expect(file.rows('SELECT (SELECT count(*) FROM one) + (SELECT count(*) FROM two) AS n')).toEqual([
    { n: 2n },
  ]);
});

test('a file with positions of another database is refused and stays with its owner', async () => {
  await using file = new MirrorFile();
  const ours = await file.open();
  const script = new EventScript();
  script.transaction((tx) => tx.insert(t, { id: '1', a: 'x' }));
  await expect(file.open([toMirror()], { source: '42/16384#1' })).rejects.toMatchObject({
    code: 'E_SINK_FOREIGN',
    retriable: false,
  });
  await ours.delivery.write(script);
  // Another generation of the same database is for the pipeline to judge.
  const later = await file.open([toMirror()], { source: '7419340581927034881/16384#2' });
  expect(later.stored).toEqual(script.end);
});

test('a file of a later format, and a file that is no database, are refused by name', async () => {
  await using file = new MirrorFile();
  const { sink } = await file.open();
  await sink.close();
  file.run('UPDATE _tailrace_format SET version = 99');
  await expect(file.open()).rejects.toMatchObject({
    code: 'E_SINK_CONFIG',
    message: expect.stringContaining('format 99') as string,
  });
  writeFileSync(file.path, 'not a database, whatever its name says'.repeat(100));
  await expect(file.open()).rejects.toMatchObject({ code: 'E_SINK_CONFIG', retriable: false });
});

test('a position that somebody has changed is not taken for the beginning', async () => {
  await using file = new MirrorFile();
  const { delivery, sink } = await file.open();
  const script = new EventScript();
  script.transaction((tx) => tx.insert(t, { id: '1', a: 'x' }));
  await delivery.write(script);
  await sink.close();
  file.run("UPDATE _tailrace_positions SET end_lsn = 'soon'");
  await expect(file.open()).rejects.toMatchObject({ code: 'E_STATE', retriable: false });
});

test('readers go on while batches are written, and see whole transactions only', async () => {
  await using file = new MirrorFile();
  const { delivery } = await file.open();
  const script = new EventScript();
  script.transaction((tx) => tx.insert(t, { id: '0', a: '0' }));
  let after = (await delivery.write(script)).accepted?.position;
  const reader = new DatabaseSync(file.path, { readOnly: true });
  const count = reader.prepare('SELECT count(*) AS n FROM t');
  const look = (): number => (count.get() as { n: number }).n;
  try {
    reader.exec('BEGIN');
    const seenByOldReader = look();
    for (let i = 1; i <= 5; i++) {
      script.transaction((tx) => {
        for (let j = 0; j < 100; j++) tx.insert(t, { id: String(i * 100 + j), a: 'x' });
      });
      after = (await delivery.write(script, { after })).accepted?.position;
      expect(look()).toBe(seenByOldReader);
    }
    reader.exec('COMMIT');
    expect(look()).toBe(501);
  } finally {
    reader.close();
  }
});

test('another writer is waited for, then the batch is to be tried again', async () => {
  await using file = new MirrorFile();
  const sink = sqliteConnector.create(
    sqliteConnector.config.parse({ path: file.path, busy_timeout: '50ms' }),
    sinkContext({ dataDir: file.dir }),
  );
  try {
    await sink.open(new AbortController().signal);
    const delivery = new Delivery(sink, [toMirror()]);
    const script = new EventScript();
    script.transaction((tx) => tx.insert(t, { id: '1', a: 'x' }));
    const other = new DatabaseSync(file.path);
    other.exec('BEGIN IMMEDIATE');
    await expect(delivery.write(script)).rejects.toMatchObject({
      code: 'E_SINK_UNAVAILABLE',
      retriable: true,
    });
    other.exec('ROLLBACK');
    other.close();
    expect((await delivery.write(script)).durable).toEqual(script.end);
    expect(file.rows('SELECT a FROM t')).toEqual([{ a: 'x' }]);
  } finally {
    await sink.close();
  }
});
