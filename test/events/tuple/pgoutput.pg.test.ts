import { expect, test } from 'vitest';
import type { Op } from '../../../src/events/change-event.ts';
import { createRecordEncoder } from '../../../src/events/formats/record-format.ts';
import type { Relation, ReplicaIdentity } from '../../../src/events/relation.ts';
import { FrameEventView } from '../../../src/events/tuple/frame-event-view.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { CONTEXT, recordsOf } from '../formats/records.ts';
import { eventOf, relationOf } from '../tuple-builder.ts';

const OPS: Readonly<Record<string, Op>> = {
  I: 'insert',
  U: 'update',
  D: 'delete',
  T: 'truncate',
  M: 'message',
};

/** Offset of the body: behind the relation id, for a truncate behind the number of relations, for a message behind its type. */
const BODY_START: Readonly<Record<string, number>> = { I: 5, U: 5, D: 5, T: 5, M: 1 };

interface Change {
  readonly op: Op;
  readonly body: Buffer;
}

/** What the server's own pgoutput makes of the WAL since the last call, transactions' frames and relations left out. */
async function changes(database: TestDatabase): Promise<Change[]> {
  const { rows } = await database.query<{ data: Buffer }>(
    `SELECT data FROM pg_logical_slot_get_binary_changes('${database.name}', NULL, NULL,
       'proto_version', '1', 'publication_names', 'p', 'messages', 'true')`,
  );
  return rows.flatMap(({ data }) => {
    const type = String.fromCharCode(data[0] as number);
    const op = OPS[type];
    if (op === undefined) return [];
    const start = BODY_START[type] as number;
    return [{ op, body: data.subarray(start, op === 'truncate' ? start + 1 : data.length) }];
  });
}

async function databaseWithTable(identity: string): Promise<TestDatabase> {
  const database = await createTestDatabase({
    setup: `CREATE TABLE t (id int PRIMARY KEY, name text, big text, dropped int, note text);
      ALTER TABLE t DROP COLUMN dropped;
      ALTER TABLE t ALTER COLUMN big SET STORAGE EXTERNAL;
      ALTER TABLE t REPLICA IDENTITY ${identity};
      CREATE PUBLICATION p FOR TABLE t;`,
  });
  await database.query(`SELECT pg_create_logical_replication_slot('${database.name}', 'pgoutput')`);
  return database;
}

const table = (replicaIdentity: ReplicaIdentity): Relation =>
  relationOf(
    { id: { type: 'int4', key: true }, name: {}, big: {}, note: {} },
    { table: 't', replicaIdentity },
  );

const BIG = 'x'.repeat(20_000);
const cursor = new FrameEventView();

function rowsOf(change: Change, relation: Relation): { before: unknown; after: unknown } {
  const event = eventOf({ op: change.op, relation, body: change.body }, cursor);
  const side = (of: 'before' | 'after'): unknown =>
    event.column(of, 0) === 'absent'
      ? null
      : relation.columns.map((_, i) => {
          const state = event.column(of, i);
          return state === 'value' ? event.text().slice(0, 10) : `<${state}>`;
        });
  return { before: side('before'), after: side('after') };
}

test('default identity: keys only, unchanged TOAST values, key changes', async () => {
  await using database = await databaseWithTable('DEFAULT');
  await database.query(`INSERT INTO t VALUES (1, 'Zoë', '${BIG}', NULL)`);
  await database.query("UPDATE t SET name = 'b'");
  await database.query("UPDATE t SET id = 2, note = ''");
  await database.query('DELETE FROM t');
  const relation = table('default');
  const [inserted, updated, moved, deleted, ...more] = await changes(database);
  expect(more).toEqual([]);
  expect(rowsOf(inserted as Change, relation)).toEqual({
    before: null,
    after: ['1', 'Zoë', 'xxxxxxxxxx', '<null>'],
  });
  expect(rowsOf(updated as Change, relation)).toEqual({
    before: null,
    after: ['1', 'b', '<unchanged>', '<null>'],
  });
  expect(rowsOf(moved as Change, relation)).toEqual({
    before: ['1', '<not-captured>', '<not-captured>', '<not-captured>'],
    after: ['2', 'b', '<unchanged>', ''],
  });
  expect(eventOf({ op: 'update', relation, body: (moved as Change).body }).keyChanged).toBe(true);
  expect(eventOf({ op: 'update', relation, body: (updated as Change).body }).keyChanged).toBe(false);
  expect(rowsOf(deleted as Change, relation)).toEqual({
    before: ['2', '<not-captured>', '<not-captured>', '<not-captured>'],
    after: null,
  });

  const encoder = createRecordEncoder({ format: 'debezium' }, relation, CONTEXT);
  const keys = [moved, deleted].map((change) =>
    recordsOf(encoder, eventOf({ ...(change as Change), relation })).map(({ key, value }) => [
      key,
      value === null ? null : (JSON.parse(value) as { op: string }).op,
    ]),
  );
  expect(keys).toEqual([
    [
      ['{"id":1}', 'd'],
      ['{"id":1}', null],
      ['{"id":2}', 'c'],
    ],
    [
      ['{"id":2}', 'd'],
      ['{"id":2}', null],
    ],
  ]);
});

test('full identity: the old image has the TOAST value that the new one leaves out', async () => {
  await using database = await databaseWithTable('FULL');
  await database.query(`INSERT INTO t VALUES (1, 'a', '${BIG}', NULL)`);
  await database.query("UPDATE t SET name = 'b'");
  await database.query('DELETE FROM t');
  const relation = table('full');
  const [, updated, deleted] = await changes(database);
  expect(rowsOf(updated as Change, relation)).toEqual({
    before: ['1', 'a', 'xxxxxxxxxx', '<null>'],
    after: ['1', 'b', 'xxxxxxxxxx', '<null>'],
  });
  expect(rowsOf(deleted as Change, relation).before).toEqual(['1', 'b', 'xxxxxxxxxx', '<null>']);
  const event = eventOf({ op: 'update', relation, body: (updated as Change).body });
  expect(event).toMatchObject({ beforeImage: 'full', keyChanged: false });
  expect(event.column('after', 2)).toBe('value');
  expect(event.text()).toBe(BIG);
});

test('a TOASTed key that did not change is known from the old image', async () => {
  await using database = await createTestDatabase({
    setup: `CREATE TABLE t (a text NOT NULL, b int); ALTER TABLE t ALTER a SET STORAGE EXTERNAL;
      CREATE UNIQUE INDEX t_key ON t (md5(a)); ALTER TABLE t REPLICA IDENTITY FULL;
      CREATE PUBLICATION p FOR TABLE t;`,
  });
  await database.query(`SELECT pg_create_logical_replication_slot('${database.name}', 'pgoutput')`);
  await database.query(`INSERT INTO t VALUES ('${BIG}', 1)`);
  await database.query('UPDATE t SET b = 2');
  const relation = relationOf({ a: { key: true }, b: { type: 'int4' } }, { replicaIdentity: 'full' });
  const [, updated] = await changes(database);
  const event = eventOf({ op: 'update', relation, body: (updated as Change).body });
  expect(event.keyChanged).toBe(false);
  expect(event.column('after', 0)).toBe('value');
});

test('truncate options and logical messages', async () => {
  await using database = await databaseWithTable('DEFAULT');
  await database.query('TRUNCATE t');
  await database.query('TRUNCATE t RESTART IDENTITY CASCADE');
  await database.query("SELECT pg_logical_emit_message(false, 'outside', decode('00ff00', 'hex'))");
  // Its commit flushes the WAL, which a message outside a transaction does not.
  await database.query("SELECT pg_logical_emit_message(true, 'inside', 'Zoë')");
  const relation = table('default');
  const events = (await changes(database)).map((change) => eventOf({ ...change, relation }));
  expect(events.map(({ op }) => op)).toEqual(['truncate', 'truncate', 'message', 'message']);
  expect(events[0]?.truncateOptions).toEqual({ cascade: false, restartIdentity: false });
  expect(events[1]?.truncateOptions).toEqual({ cascade: true, restartIdentity: true });
  expect(events[3]?.message).toEqual({ prefix: 'inside', content: Buffer.from('Zoë'), transactional: true });
  expect(events[2]?.message).toEqual({
    prefix: 'outside',
    content: Buffer.from([0, 0xff, 0]),
    transactional: false,
  });
});

test('a plain row is what the server’s own to_jsonb says of the row', async () => {
  await using database = await databaseWithTable('DEFAULT');
  const { rows } = await database.query<{ json: string }>(
    `INSERT INTO t SELECT n, CASE WHEN n % 3 = 0 THEN NULL ELSE chr(n) || '"\\' || chr(128512 + n) END, repeat(md5(n::text), n % 50), ''
       FROM generate_series(1, 300) AS n RETURNING to_jsonb(t)::text AS json`,
  );
  const relation = table('default');
  const records = createRecordEncoder({ format: 'plain' }, relation, CONTEXT);
  const inserted = await changes(database);
  expect(inserted.length).toBe(300);
  for (const [i, change] of inserted.entries()) {
    const event = eventOf({ ...change, relation }, cursor);
    const [record] = recordsOf(records, event);
    expect(JSON.parse(record?.value as string)).toEqual(JSON.parse(rows[i]?.json as string));
  }
});
