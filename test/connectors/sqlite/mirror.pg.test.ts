import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { registry } from '../../../src/app/registry.ts';
import { Runtime } from '../../../src/app/runtime.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { parseLsn } from '../../../src/events/lsn.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { waitFor } from '../../support/wait.ts';

const FLOAT4 = 700;
const FLOAT8 = 701;

/** Column of that type, and values of it as SQL text. */
const TYPES: Readonly<Record<string, readonly string[]>> = {
  int2: ['-32768', '32767'],
  int8: ['-9223372036854775808', '9223372036854775807', '9007199254740993'],
  oid: ['4294967295'],
  float4: ['1.1', 'NaN', '-Infinity', '-0', '3.4028235e38', '1e-45'],
  float8: ['0.1', '5e-324', '1.7976931348623157e308', 'Infinity', 'NaN', '-0', '123456789012345680'],
  numeric: ['NaN', '-Infinity', '1e1000', '0.10', '12345678901234567890.12345678901234567890', '-0.00'],
  'numeric(20,5)': ['99999.10000', '-0.00001'],
  money: ['-92233720368547758.08'],
  bool: ['t', 'f'],
  bytea: ['\\x', '\\x00ff5c78', '\\xdeadbeef'],
  text: ['', ' é𝄞 ', 'line\nline', '\\x00', 'NULL'],
  'varchar(5)': ['abc'],
  'char(5)': ['ab'],
  name: ['a name'],
  json: ['{ "a" : 1, "a":  2.50 }'],
  jsonb: ['{"b": 12345678901234567890, "a": 1.10}'],
  uuid: ['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'],
  date: ['infinity', '4713-01-01 BC', '99999-12-31'],
  time: ['24:00:00', '04:05:06.789012'],
  timetz: ['04:05:06.7-15:59:59'],
  timestamp: ['0044-03-15 12:00:00 BC', '294276-12-31 23:59:59.999999'],
  timestamptz: ['2024-02-29 12:00:00.123456+13', '-infinity'],
  interval: ['1 year 2 mons -3 days 04:05:06.7', '-178000000 years'],
  inet: ['192.168.0.1/24', '::1'],
  'bit(3)': ['101'],
  varbit: ['', '10011'],
  tsvector: ["a fat cat:3A 'it''s'"],
  int4range: ['[1,5)', 'empty'],
  point: ['(1.5,-2)'],
  path: ['[(0,0),(1,1)]'],
  'int4[]': ['{}', '{1,NULL,3}', '[2:3]={7,8}'],
  'text[]': ['{a,"b c",NULL,"NULL","q\\"uote"}', '{{a,b},{c,d}}'],
  mood: ['sad', 'so-so'],
  percent: ['99.5'],
  pair: ['(1,"two, three")', '(,)'],
};

const SETUP = `
  CREATE TYPE mood AS ENUM ('sad', 'so-so');
  CREATE DOMAIN percent AS numeric(4,1) CHECK (VALUE <= 100);
  CREATE TYPE pair AS (a int, b text);
  CREATE TABLE types (id int PRIMARY KEY, ${Object.keys(TYPES)
    .map((type, i) => `c${i} ${type}`)
    .join(', ')});
  CREATE TABLE docs (slug text PRIMARY KEY, title text, body text);
  ALTER TABLE docs ALTER body SET STORAGE EXTERNAL;
  CREATE TABLE log (line text, weight float8);
  ALTER TABLE log REPLICA IDENTITY FULL;
  CREATE TABLE moved (a int, b text, v text, PRIMARY KEY (b, a));`;

test('a mirror equals its tables, value by value, through updates of every kind and changes of their shape', async () => {
  await using database = await createTestDatabase({ create: true, setup: SETUP });
  for (const table of ['types', 'docs', 'log', 'moved']) {
    await database.query(`ALTER TABLE ${table} OWNER TO ${database.role}`);
  }
  const dir = await mkdtemp(join(tmpdir(), 'tailrace-mirror-'));
  const path = join(dir, 'mirror.db');
  const pipeline = await start(database, dir);
  const expectEqual = async (): Promise<void> => {
    // Other databases of the server are written all the time: its end is looked at once.
    const { rows } = await database.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn');
    const target = parseLsn(rows[0]?.lsn ?? '');
    await waitFor(
      () => {
        const { source, sinks } = pipeline.status;
        return parseLsn(source.received) >= target && sinks.every((sink) => sink.lag_bytes === 0);
      },
      { timeoutMs: 20_000, describe: () => JSON.stringify(pipeline.status) },
    );
    for (const table of ['types', 'docs', 'log', 'moved']) {
      expect(mirrorRows(path, table), table).toEqual(await sourceRows(database, table));
    }
  };
  try {
    const names = Object.entries(TYPES);
    const rows = Math.max(...names.map(([, values]) => values.length));
    for (let row = 0; row <= rows; row++) {
      const values = names.map(([type, all]) =>
        all[row] === undefined ? 'NULL' : `$q$${all[row]}$q$::${type}`,
      );
      await database.query(`INSERT INTO types VALUES (${row}, ${values.join(', ')})`);
    }
    await database.query(`UPDATE types SET id = -id, c0 = NULL WHERE id IN (1, 2)`);
    await database.query(`
      INSERT INTO docs SELECT 'doc-' || n, 'title ' || n, repeat('long ' || n, 3000) FROM generate_series(1, 20) n;
      UPDATE docs SET title = 'changed' WHERE slug IN ('doc-1', 'doc-2');
      UPDATE docs SET slug = 'moved-' || slug WHERE slug IN ('doc-2', 'doc-3');
      UPDATE docs SET body = 'short' WHERE slug = 'doc-4';
      DELETE FROM docs WHERE slug IN ('doc-5', 'moved-doc-3')`);
    await database.query(`
      INSERT INTO log SELECT 'line', 'NaN' FROM generate_series(1, 5);
      INSERT INTO log VALUES (NULL, NULL), ('x', 1), ('x', 1);
      DELETE FROM log WHERE ctid IN (SELECT ctid FROM log WHERE line = 'line' LIMIT 2);
      UPDATE log SET weight = 2 WHERE ctid IN (SELECT ctid FROM log WHERE line = 'x' LIMIT 1)`);
    await database.query(`
      INSERT INTO moved SELECT n, 'b', 'v' FROM generate_series(1, 4) n;
      BEGIN; UPDATE moved SET a = -a; UPDATE moved SET a = 5 + a; DELETE FROM moved WHERE a = 1; COMMIT`);
    await expectEqual();
    // Shapes change between rows, and inside a transaction.
    await database.query(`
      BEGIN;
      ALTER TABLE moved ADD COLUMN extra int8[];
      INSERT INTO moved VALUES (10, 'b', 'v', '{1,2}');
      ALTER TABLE moved RENAME COLUMN v TO value;
      ALTER TABLE moved DROP COLUMN extra;
      ALTER TABLE moved ADD COLUMN other text;
      INSERT INTO moved VALUES (11, 'b', 'w', 'x');
      COMMIT;
      TRUNCATE types;
      INSERT INTO types (id, c1) VALUES (77, 1)`);
    await database.query(
      `INSERT INTO types SELECT 100 + n, ${names.map(([type, all]) => `$q$${all.at(-1)}$q$::${type}`).join(', ')} FROM generate_series(1, 3) n`,
    );
    await expectEqual();
    expect(searchDocs(path, '"changed"')).toEqual(['doc-1', 'moved-doc-2']);
  } finally {
    await pipeline.stop();
    await rm(dir, { recursive: true });
  }
});

async function start(database: TestDatabase, dir: string) {
  const text = `
pipeline: ${database.name}
source: { url: "${database.url}" }
event_log: { dir: log }
sinks: { mirror: { type: sqlite, path: mirror.db } }
tables:
  public.docs: { to: { sink: mirror, search: { columns: [title, body], tokenizer: porter unicode61 } } }
  public.*: { to: mirror }
admin: { port: 0 }`;
  const config = loadConfig({ file: join(dir, 'tailrace.yaml'), text, env: {}, registry });
  const runtime = await Runtime.start({ config, without: [], logger: silentLogger });
  const drain = new AbortController();
  const ended = runtime.run({ drain: drain.signal, kill: new AbortController().signal });
  ended.catch(() => {});
  await waitFor(() => runtime.status.state === 'streaming' && runtime.status.source.connected);
  return {
    get status() {
      return runtime.status;
    },
    stop: async () => {
      drain.abort();
      await ended;
      await runtime[Symbol.asyncDispose]();
    },
  };
}

/** Every value as PostgreSQL prints it under the settings the stream is read with, in a text that can be sorted. */
async function sourceRows(database: TestDatabase, table: string): Promise<readonly string[]> {
  const client = new Client({
    connectionString: database.adminUrl,
    options: '-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex',
  });
  await client.connect();
  try {
    const { rows, fields } = await client.query<Record<string, string | null>>({
      text: `SELECT * FROM ${table}`,
      types: { getTypeParser: () => (text: string) => text },
    });
    return rows
      .map((row) =>
        JSON.stringify(
          fields.map(({ name, dataTypeID }) => {
            const text = row[name] ?? null;
            const isFloat = dataTypeID === FLOAT4 || dataTypeID === FLOAT8;
            return [name, text !== null && isFloat ? numberText(Number(text)) : text];
          }),
        ),
      )
      .sort();
  } finally {
    await client.end();
  }
}

function mirrorRows(path: string, table: string): readonly string[] {
  using db = new DatabaseSync(path, { readOnly: true });
  const statement = db.prepare(`SELECT * FROM ${table}`);
  statement.setReadBigInts(true);
  const bool = `c${Object.keys(TYPES).indexOf('bool')}`;
  return statement
    .all()
    .map((row) =>
      JSON.stringify(
        Object.entries(row)
          .filter(([name]) => name !== '_tailrace_rowid')
          .map(([name, value]) => {
            if (value === null) return [name, null];
            if (value instanceof Uint8Array) return [name, `\\x${Buffer.from(value).toString('hex')}`];
            if (typeof value === 'number') return [name, numberText(value)];
            if (name === bool && table === 'types') return [name, value === 1n ? 't' : 'f'];
            return [name, String(value)];
          }),
      ),
    )
    .sort();
}

/** One spelling for a number, whoever prints it. */
function numberText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

function searchDocs(path: string, words: string): readonly string[] {
  using db = new DatabaseSync(path, { readOnly: true });
  return db
    .prepare(
      'SELECT d.slug FROM docs_search s JOIN docs d ON d._tailrace_rowid = s.rowid WHERE docs_search MATCH ? ORDER BY d.slug',
    )
    .all(words)
    .map((row) => (row as { slug: string }).slug);
}
