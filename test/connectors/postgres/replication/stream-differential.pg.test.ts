import fc from 'fast-check';
import { type Pgoutput, PgoutputPlugin } from 'pg-logical-replication';
import { expect, test } from 'vitest';
import { decodeMessage } from '../../../../connectors/postgres/pgoutput/decode-message.ts';
import type { RecordedEvent } from '../recording-log.ts';
import { describeEvent } from '../recording-log.ts';
import { StreamHarness } from './stream-harness.ts';

/** The same changes, read by SQL from the same slot, which does not move. */
async function peek(harness: StreamHarness): Promise<readonly Buffer[]> {
  const { rows } = await harness.database.query<{ data: Buffer }>(
    `SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', $2, 'messages', 'true')`,
    [harness.slot, `"${harness.publication}"`],
  );
  return rows.map(({ data }) => data);
}

/** The bodies of a transaction's events, cut out of its messages by the other way of decoding. */
function bodiesOf(messages: readonly Buffer[]): readonly Buffer[] {
  return messages.flatMap((bytes) => {
    const message = decodeMessage(bytes, 0, bytes.length);
    switch (message.kind) {
      case 'insert':
      case 'update':
      case 'delete':
      case 'message':
        return [bytes.subarray(message.bodyStart)];
      case 'truncate':
        return message.relationOids.map(() => bytes.subarray(5, 6));
      default:
        return [];
    }
  });
}

const SETUP = `
  CREATE TYPE mood AS ENUM ('sad', 'ok');
  CREATE TABLE plain (id int PRIMARY KEY, a text, b text);
  CREATE TABLE whole (id int PRIMARY KEY, a text, b text); ALTER TABLE whole REPLICA IDENTITY FULL;
  CREATE TABLE bare (a text, b text, c mood)`;

const TABLES = ['plain', 'whole', 'bare'] as const;

type Step =
  | {
      readonly kind: 'insert' | 'update' | 'delete';
      readonly table: (typeof TABLES)[number];
      readonly id: number;
      readonly a: string | null;
      readonly b: string | null;
    }
  | { readonly kind: 'truncate'; readonly tables: readonly (typeof TABLES)[number][] }
  | { readonly kind: 'message'; readonly transactional: boolean; readonly content: string }
  | { readonly kind: 'savepoint' | 'rollback-to' };

const text = fc.option(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.string({ unit: 'binary', maxLength: 40 }).map((value) => value.replaceAll('\0', '')),
    },
    { weight: 1, arbitrary: fc.integer({ min: 3000, max: 9000 }).map((length) => randomText(length)) },
  ),
);

/** Does not compress, so that it is TOASTed. */
function randomText(length: number): string {
  let state = length;
  return Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return String.fromCodePoint(33 + (state % 90));
  }).join('');
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constantFrom('insert' as const, 'insert' as const, 'update' as const, 'delete' as const),
      table: fc.constantFrom(...TABLES),
      id: fc.integer({ min: 1, max: 6 }),
      a: text,
      b: text,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('truncate' as const),
      tables: fc.subarray([...TABLES], { minLength: 1 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('message' as const),
      transactional: fc.boolean(),
      content: fc.string({ maxLength: 20 }).map((value) => value.replaceAll('\0', '')),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('savepoint' as const, 'rollback-to' as const) }),
  },
);

const traffic = fc.array(
  fc.record({ steps: fc.array(step, { minLength: 1, maxLength: 8 }), commits: fc.boolean() }),
  { minLength: 10, maxLength: 25 },
);

async function perform(
  harness: StreamHarness,
  { steps, commits }: { readonly steps: readonly Step[]; readonly commits: boolean },
): Promise<void> {
  const query = async (sql: string, params: readonly unknown[] = []): Promise<void> => {
    await harness.database.query(sql, params);
  };
  await query('BEGIN');
  let savepoints = 0;
  for (const each of steps) {
    switch (each.kind) {
      case 'insert':
        if (each.table === 'bare') await query(`INSERT INTO bare VALUES ($1, $2, 'ok')`, [each.a, each.b]);
        else
          await query(
            `INSERT INTO ${each.table} VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET b = excluded.b`,
            [each.id, each.a, each.b],
          );
        break;
      case 'update':
        // A table without identity cannot be updated while it is published.
        if (each.table === 'bare') break;
        await query(`UPDATE ${each.table} SET a = $2 WHERE id = $1`, [each.id, each.a]);
        await query(
          `UPDATE ${each.table} SET id = $1 + 100 WHERE id = $1 AND NOT EXISTS (SELECT FROM ${each.table} WHERE id = $1 + 100)`,
          [each.id],
        );
        break;
      case 'delete':
        if (each.table !== 'bare') await query(`DELETE FROM ${each.table} WHERE id = $1`, [each.id]);
        break;
      case 'truncate':
        await query(`TRUNCATE ${each.tables.join(', ')}`);
        break;
      case 'message':
        await query('SELECT pg_logical_emit_message($1, $2, $3::text)', [
          each.transactional,
          'app',
          each.content,
        ]);
        break;
      case 'savepoint':
        await query(`SAVEPOINT s${savepoints++}`);
        break;
      case 'rollback-to':
        if (savepoints > 0) await query(`ROLLBACK TO s${--savepoints}`);
        break;
    }
  }
  await query(commits ? 'COMMIT' : 'ROLLBACK');
}

test('random traffic: the log holds the very bytes that the server decodes for SQL, and what the second parser reads in them', async () => {
  await fc.assert(
    fc.asyncProperty(traffic, async (transactions) => {
      await using harness = await StreamHarness.open({ setup: SETUP });
      // Enough of the first transactions is written before the stream begins: it catches up, then follows.
      const half = Math.floor(transactions.length / 2);
      for (const each of transactions.slice(0, half)) await perform(harness, each);
      const stream = harness.start();
      for (const each of transactions.slice(half)) await perform(harness, each);
      await stream.caughtUp(harness);
      await stream.stop();
      await harness.slotFree();
      const messages = await peek(harness);
      compareBytes(
        messages,
        stream.log.events,
        stream.log.messages.map(({ body }) => body),
      );
      compareWithPackage(messages, stream.log.events);
    }),
    { numRuns: 4, interruptAfterTimeLimit: 15_000 },
  );
}, 60_000);

function compareBytes(
  messages: readonly Buffer[],
  events: readonly RecordedEvent[],
  outside: readonly Buffer[],
): void {
  const isOutside = (bytes: Buffer): boolean => bytes[0] === 0x4d && bytes[1] === 0;
  expect(events.map(({ body }) => body.toString('hex'))).toEqual(
    bodiesOf(messages.filter((bytes) => !isOutside(bytes))).map((body) => body.toString('hex')),
  );
  expect(outside.map((body) => body.toString('hex'))).toEqual(
    bodiesOf(messages.filter(isOutside)).map((body) => body.toString('hex')),
  );
}

/** pg-logical-replication's own parser, over the same messages, in the same words. */
function compareWithPackage(messages: readonly Buffer[], events: readonly RecordedEvent[]): void {
  const plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: ['p'] });
  const second = messages.flatMap((bytes) => describeParsed(plugin.parse(bytes)));
  expect(events.map((event) => describeEvent(event))).toEqual(second);
}

function describeParsed(message: Pgoutput.Message): readonly string[] {
  type Values = Readonly<Record<string, unknown>>;
  const shown = (relation: Pgoutput.MessageRelation, values: Values, isKey: boolean): string =>
    `(${relation.columns
      .map(({ name }) => {
        if (isKey && !relation.keyColumns.includes(name)) return 'not-captured';
        const value = values[name];
        return value === null ? 'null' : value === undefined ? 'unchanged' : shownValue(value);
      })
      .join(', ')})`;
  const table = (relation: Pgoutput.MessageRelation): string => `${relation.schema}.${relation.name}`;
  switch (message.tag) {
    case 'insert':
      return [`insert ${table(message.relation)} -> ${shown(message.relation, message.new, false)}`];
    case 'update': {
      const { relation, key, old } = message;
      const before =
        old !== null
          ? ` full ${shown(relation, old, false)}`
          : key !== null
            ? ` key ${shown(relation, key, true)}`
            : '';
      return [`update ${table(relation)}${before} -> ${shown(relation, message.new, false)}`];
    }
    case 'delete': {
      const { relation, key, old } = message;
      const before =
        old !== null ? `full ${shown(relation, old, false)}` : `key ${shown(relation, key ?? {}, true)}`;
      return [`delete ${table(relation)} ${before}`];
    }
    case 'truncate':
      return message.relations.map((relation) => `truncate ${table(relation)}`);
    case 'message':
      return message.transactional
        ? [`message ${message.prefix} ${Buffer.from(message.content).toString()}`]
        : [];
    default:
      return [];
  }
}

test('every message of later protocols that the server can write is decoded', async () => {
  await using harness = await StreamHarness.open({ setup: 'CREATE TABLE t (id int PRIMARY KEY, v text)' });
  const { database } = harness;
  await database.query(`SELECT pg_create_logical_replication_slot($1, 'pgoutput', false, true)`, [
    `${harness.slot}_2pc`,
  ]);
  const large = `INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series($from, $to) i`;
  const rows = (from: number, to: number): string =>
    large.replace('$from', String(from)).replace('$to', String(to));
  const gid = database.name;
  await harness.sql(
    // Large enough to be streamed before they end.
    `BEGIN; ${rows(1, 500)}; SAVEPOINT s; ${rows(501, 900)}; ROLLBACK TO s; ${rows(501, 600)}; COMMIT`,
    `BEGIN; ${rows(1001, 1500)}; TRUNCATE t; SELECT pg_logical_emit_message(true, 'app', 'x'); ${rows(1501, 1600)}; COMMIT`,
    `BEGIN; ${rows(2001, 2500)}; ROLLBACK`,
    `BEGIN; ${rows(3001, 3500)}; PREPARE TRANSACTION '${gid}_a'`,
    `COMMIT PREPARED '${gid}_a'`,
    `BEGIN; INSERT INTO t VALUES (9001, 'a'); PREPARE TRANSACTION '${gid}_b'`,
    `COMMIT PREPARED '${gid}_b'`,
    `BEGIN; INSERT INTO t VALUES (9002, 'a'); PREPARE TRANSACTION '${gid}_c'`,
    `ROLLBACK PREPARED '${gid}_c'`,
  );
  await database.query(`SET logical_decoding_work_mem = '64kB'`);
  const kinds = new Set<string>();
  const inserted = new Set<number>();
  const { rows: versions } = await database.query<{ major: number }>(
    `SELECT current_setting('server_version_num')::int / 10000 AS major`,
  );
  const major = versions[0]?.major ?? 0;
  // Two-phase commit came with protocol 3 (version 15), parallel streaming with 4 (16).
  const protocol = major >= 16 ? 4 : major >= 15 ? 3 : 2;
  const twoPhase = protocol >= 3 ? `, 'two_phase', 'true'` : '';
  for (const streaming of protocol >= 4 ? ['on', 'parallel'] : ['on']) {
    const { rows: changes } = await database.query<{ data: Buffer }>(
      `SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '${protocol}', 'publication_names', $2,
         'messages', 'true', 'streaming', $3${twoPhase})`,
      [`${harness.slot}_2pc`, `"${harness.publication}"`, streaming],
    );
    let streamed = false;
    for (const { data } of changes) {
      const message = decodeMessage(data, 0, data.length, { streamed });
      kinds.add(message.kind);
      if (message.kind === 'stream-start') streamed = true;
      if (message.kind === 'stream-stop') streamed = false;
      if (message.kind === 'insert') inserted.add(message.relationOid);
      if (message.kind === 'stream-abort') expect(message.abort !== undefined).toBe(streaming === 'parallel');
      if (message.kind === 'insert') expect(message.streamedXid !== undefined).toBe(streamed);
    }
  }
  expect(inserted.size).toBe(1);
  const expected = [
    'stream-start',
    'stream-stop',
    'stream-commit',
    'stream-abort',
    'truncate',
    'message',
    'relation',
  ];
  if (protocol >= 3) {
    expected.push('stream-prepare', 'begin-prepare', 'prepare', 'commit-prepared', 'rollback-prepared');
  }
  expect([...kinds]).toEqual(expect.arrayContaining(expected));
});

/** Only strings and numbers come out of the tables above. */
function shownValue(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  throw new TypeError(`Not expected here: ${typeof value}`);
}
