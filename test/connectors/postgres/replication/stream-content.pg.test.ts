import { expect, test } from 'vitest';
import { StreamHarness } from './stream-harness.ts';

test('transactions come in commit order, each in one piece, however they interleave', async () => {
  await using harness = await StreamHarness.open({ setup: 'CREATE TABLE t (id int PRIMARY KEY, v text)' });
  const stream = harness.start();
  const [a, b] = [await harness.database.connect(), await harness.database.connect()];
  await a.query('BEGIN');
  await a.query(`INSERT INTO t VALUES (1, 'a')`);
  await b.query('BEGIN');
  await b.query(`INSERT INTO t VALUES (2, 'b')`);
  await a.query(`INSERT INTO t VALUES (3, 'a')`);
  await b.query(`UPDATE t SET v = 'b2' WHERE id = 2`);
  await b.query('COMMIT');
  await a.query(`DELETE FROM t WHERE id = 1`);
  await a.query('COMMIT');
  expect(await stream.untilEvents(5)).toEqual([
    'insert public.t -> (2, b)',
    'update public.t -> (2, b2)',
    'insert public.t -> (1, a)',
    'insert public.t -> (3, a)',
    'delete public.t key (1, not-captured)',
  ]);
  const [first, second] = stream.log.transactions;
  expect(first?.endLsn).toBeLessThanOrEqual(second?.commitLsn ?? 0n);
  expect(first?.events[0]?.walLsn).toBeGreaterThan(second?.events[0]?.walLsn ?? 0n);
});

test('rolled-back subtransactions and transactions are absent; nested ones that stay are there', async () => {
  await using harness = await StreamHarness.open({ setup: 'CREATE TABLE t (id int PRIMARY KEY)' });
  const stream = harness.start();
  await harness.sql('BEGIN; INSERT INTO t VALUES (100); ROLLBACK');
  await harness.sql(
    `BEGIN; INSERT INTO t VALUES (1);
     SAVEPOINT a; INSERT INTO t VALUES (2);
       SAVEPOINT b; INSERT INTO t VALUES (3); RELEASE b;
     ROLLBACK TO a;
     SAVEPOINT c; INSERT INTO t VALUES (4); RELEASE c;
     INSERT INTO t VALUES (5); COMMIT`,
    `DO $$ BEGIN
       FOR i IN 10..90 LOOP
         BEGIN
           INSERT INTO t VALUES (i);
           IF i % 2 = 0 THEN RAISE EXCEPTION 'no'; END IF;
         EXCEPTION WHEN raise_exception THEN NULL;
         END;
       END LOOP;
     END $$`,
    'INSERT INTO t VALUES (6) ON CONFLICT DO NOTHING',
    'INSERT INTO t VALUES (6) ON CONFLICT DO NOTHING',
  );
  await stream.caughtUp(harness);
  const odd = Array.from({ length: 40 }, (_, i) => 11 + i * 2);
  expect(stream.events).toEqual([1, 4, 5, ...odd, 6].map((id) => `insert public.t -> (${id})`));
});

test('PREPARE gives nothing, COMMIT PREPARED the transaction, ROLLBACK PREPARED nothing', async () => {
  await using harness = await StreamHarness.open({ setup: 'CREATE TABLE t (id int PRIMARY KEY)' });
  const stream = harness.start();
  const gid = harness.database.name;
  await harness.sql(
    `BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION '${gid}_1'`,
    `BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION '${gid}_2'`,
    'INSERT INTO t VALUES (3)',
  );
  await stream.caughtUp(harness);
  expect(stream.events).toEqual(['insert public.t -> (3)']);
  await harness.sql(`COMMIT PREPARED '${gid}_1'`, `ROLLBACK PREPARED '${gid}_2'`);
  await stream.caughtUp(harness);
  expect(stream.events).toEqual(['insert public.t -> (3)', 'insert public.t -> (1)']);
});

test('a shape that changes inside a transaction holds from the next row on', async () => {
  await using harness = await StreamHarness.open({ setup: 'CREATE TABLE t (id int PRIMARY KEY, v text)' });
  const stream = harness.start();
  await harness.sql(
    `BEGIN; INSERT INTO t VALUES (1, 'a');
     ALTER TABLE t ADD COLUMN w int DEFAULT 7; INSERT INTO t VALUES (2, 'b');
     ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (3, 8);
     ALTER TABLE t RENAME w TO x; UPDATE t SET x = 9 WHERE id = 3; COMMIT`,
    'ALTER TABLE t RENAME TO u',
    'INSERT INTO u VALUES (4, 10)',
  );
  expect(await stream.untilEvents(5)).toEqual([
    'insert public.t -> (1, a)',
    'insert public.t -> (2, b, 7)',
    'insert public.t -> (3, 8)',
    'update public.t -> (3, 9)',
    'insert public.u -> (4, 10)',
  ]);
  expect(stream.log.events.map(({ relation }) => relation.columns.map(({ name }) => name))).toEqual([
    ['id', 'v'],
    ['id', 'v', 'w'],
    ['id', 'w'],
    ['id', 'x'],
    ['id', 'x'],
  ]);
  expect(new Set(stream.log.events.map(({ relation }) => relation.oid)).size).toBe(1);
});

test('the same shape sent again is no new version; NOT NULL and a new key are', async () => {
  await using harness = await StreamHarness.open({
    setup: 'CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL)',
  });
  const stream = harness.start();
  await harness.sql(`INSERT INTO t VALUES (1, 'a')`, 'ANALYZE t', `INSERT INTO t VALUES (2, 'a')`);
  await stream.untilEvents(2);
  expect(stream.log.relations).toHaveLength(1);
  // No column changes, so neither does the Relation message.
  await harness.sql('ALTER TABLE t ALTER v DROP NOT NULL', 'INSERT INTO t VALUES (3, NULL)');
  await stream.untilEvents(3);
  expect(stream.log.relations.map(({ columns }) => columns[1]?.nullable)).toEqual([false, true]);
});

test('replica identities: key only when it changed, the whole row, an index, nothing', async () => {
  await using harness = await StreamHarness.open({
    setup: `CREATE TABLE d (id int PRIMARY KEY, v text);
            CREATE TABLE f (id int PRIMARY KEY, v text); ALTER TABLE f REPLICA IDENTITY FULL;
            CREATE TABLE i (id int PRIMARY KEY, n int NOT NULL); CREATE UNIQUE INDEX i_n ON i (n); ALTER TABLE i REPLICA IDENTITY USING INDEX i_n;
            CREATE TABLE n (id int); ALTER TABLE n REPLICA IDENTITY NOTHING`,
  });
  const stream = harness.start();
  for (const [table, change] of [
    ['d', `'b'`],
    ['f', `'b'`],
    ['i', '5'],
  ] as const) {
    const column = table === 'i' ? 'n' : 'v';
    await harness.sql(
      `INSERT INTO ${table} VALUES (1, ${table === 'i' ? '4' : `'a'`})`,
      `UPDATE ${table} SET ${column} = ${change}`,
      `UPDATE ${table} SET id = 2`,
      `DELETE FROM ${table}`,
    );
  }
  await harness.sql('INSERT INTO n VALUES (1)');
  expect(await stream.untilEvents(13)).toEqual([
    'insert public.d -> (1, a)',
    'update public.d -> (1, b)',
    'update public.d key (1, not-captured) -> (2, b)',
    'delete public.d key (2, not-captured)',
    'insert public.f -> (1, a)',
    'update public.f full (1, a) -> (1, b)',
    'update public.f full (1, b) -> (2, b)',
    'delete public.f full (2, b)',
    'insert public.i -> (1, 4)',
    'update public.i key (not-captured, 4) -> (1, 5)',
    'update public.i -> (2, 5)',
    'delete public.i key (not-captured, 5)',
    'insert public.n -> (1)',
  ]);
  expect(
    stream.log.relations.map(({ table, replicaIdentity, key }) => [table, replicaIdentity, key]),
  ).toEqual([
    ['d', 'default', [0]],
    ['f', 'full', [0]],
    ['i', 'index', [0]],
    ['n', 'nothing', []],
  ]);
});

test('a TOASTed value that an update does not touch is unchanged, never null; the whole old row brings it', async () => {
  await using harness = await StreamHarness.open({
    setup: `CREATE TABLE t (id int PRIMARY KEY, big text, v int); ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
            CREATE TABLE f (LIKE t INCLUDING ALL); ALTER TABLE f REPLICA IDENTITY FULL`,
  });
  const stream = harness.start();
  for (const table of ['t', 'f']) {
    await harness.sql(`INSERT INTO ${table} VALUES (1, repeat('x', 9000), 1)`, `UPDATE ${table} SET v = 2`);
  }
  const events = await stream.untilEvents(4);
  const big = 'x'.repeat(9000);
  expect(events[1]).toBe('update public.t -> (1, unchanged, 2)');
  expect(events[3]).toBe(`update public.f full (1, ${big}, 1) -> (1, ${big}, 2)`);
});

test('TRUNCATE of many tables, with its options, in order with the rows around it', async () => {
  await using harness = await StreamHarness.open({
    setup: `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY REFERENCES a); CREATE TABLE c (id serial PRIMARY KEY)`,
  });
  const stream = harness.start();
  await harness.sql(
    'BEGIN; INSERT INTO a VALUES (1); TRUNCATE a CASCADE; INSERT INTO a VALUES (2); COMMIT',
    'TRUNCATE a, b, c RESTART IDENTITY',
  );
  expect(await stream.untilEvents(7)).toEqual([
    'insert public.a -> (1)',
    'truncate public.a cascade',
    'truncate public.b cascade',
    'insert public.a -> (2)',
    'truncate public.a restart identity',
    'truncate public.b restart identity',
    'truncate public.c restart identity',
  ]);
});

test('logical messages: transactional ones inside their transaction, the others at once, heartbeats never', async () => {
  await using harness = await StreamHarness.open({ setup: 'CREATE TABLE t (id int PRIMARY KEY)' });
  const stream = harness.start();
  const { rows } = await harness.database.query<{ outside: string }>(
    `SELECT pg_logical_emit_message(false, 'app', 'outside') AS outside`,
  );
  await harness.sql(
    `BEGIN; SELECT pg_logical_emit_message(true, 'app', 'never'); ROLLBACK`,
    `BEGIN; INSERT INTO t VALUES (1); SELECT pg_logical_emit_message(true, 'app', 'inside'); INSERT INTO t VALUES (2); COMMIT`,
    `SELECT pg_logical_emit_message(true, 'tailrace.heartbeat', '')`,
    `SELECT pg_logical_emit_message(false, 'tailrace.heartbeat', '')`,
  );
  await stream.caughtUp(harness);
  expect(stream.events).toEqual(['insert public.t -> (1)', 'message app inside', 'insert public.t -> (2)']);
  expect(stream.log.messages).toHaveLength(1);
  const [message] = stream.log.messages;
  expect(message?.body.toString('latin1', 9, 12)).toBe('app');
  expect(message?.body.toString('latin1', 17)).toBe('outside');
  expect(rows[0]?.outside).toMatch(
    new RegExp(`/0*${((message?.lsn ?? 0n) & 0xffff_ffffn).toString(16)}$`, 'i'),
  );
});

test('excluded columns are dropped before the log', async () => {
  await using harness = await StreamHarness.open({
    setup: 'CREATE TABLE t (id int PRIMARY KEY, card text, v text); ALTER TABLE t REPLICA IDENTITY FULL',
    exclude: ['card'],
  });
  const stream = harness.start();
  await harness.sql(
    `INSERT INTO t VALUES (1, '4111111111111111', 'a')`,
    `UPDATE t SET card = '5500000000000004'`,
    'DELETE FROM t',
  );
  expect(await stream.untilEvents(3)).toEqual([
    'insert public.t -> (1, not-captured, a)',
    'update public.t full (1, not-captured, a) -> (1, not-captured, a)',
    'delete public.t full (1, not-captured, a)',
  ]);
});

test('COPY: rows of one WAL record are rows of their own; partitions come as their root', async () => {
  await using harness = await StreamHarness.open({
    setup: `CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
            CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
            CREATE TABLE p2 (v text, id int NOT NULL); ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20)`,
  });
  const stream = harness.start();
  await harness.sql(
    `INSERT INTO p SELECT i, 'v' || i FROM generate_series(8, 11) i`,
    'UPDATE p SET id = 12 WHERE id = 8',
  );
  expect(await stream.untilEvents(6)).toEqual([
    'insert public.p -> (8, v8)',
    'insert public.p -> (9, v9)',
    'insert public.p -> (10, v10)',
    'insert public.p -> (11, v11)',
    'delete public.p key (8, not-captured)',
    'insert public.p -> (12, v8)',
  ]);
});
