import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectType } from '../../src/events/formats/debezium/column-types.ts';
import { type DebeziumOptions, debeziumSettings } from '../../src/events/formats/debezium/options.ts';
import { plainWriter } from '../../src/events/formats/plain/column-types.ts';
import type { ColumnType } from '../../src/events/relation.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { arrayOf, baseType } from './tuple-builder.ts';
import { jsonOf } from './values/json-of.ts';

/**
 * PostgreSQL is the oracle: the text its output function gives under the pinned settings is encoded by us, and what comes out is compared
 * with what the server itself computes from the value.
 */
const PINNED = `
  SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; SET extra_float_digits = 1;
  SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET client_encoding = 'UTF8'`;

/** Fixed for a run and printed with every failure. */
const SEED = Math.random();

let database: TestDatabase;
let client: Client;

beforeAll(async () => {
  database = await createTestDatabase({
    setup: `CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
      CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy, "really"');
      CREATE TYPE pair AS (a int, b text);
      CREATE DOMAIN price AS numeric(8, 3);`,
  });
  client = await database.connect();
  await client.query(PINNED);
});

afterAll(async () => {
  await database?.[Symbol.asyncDispose]();
});

interface Case {
  /** A query of one column `v`. */
  readonly values: string;
  /** SQL over `v`; its text is compared. */
  readonly oracle: string;
}

/** Pairs of the server's text and the oracle's answer. */
async function ask({ values, oracle }: Case): Promise<{ text: string; answer: string }[]> {
  await client.query('SELECT setseed($1)', [SEED]);
  // format() calls the output function, as pgoutput does; a cast to text does something else for bpchar, bool and inet.
  const { rows } = await client.query<{ text: string; answer: string }>(
    `SELECT format('%s', v) AS text, (${oracle})::text AS answer FROM (${values}) AS s (v)`,
  );
  expect(rows.length).toBeGreaterThan(0);
  return rows;
}

async function agree(
  testCase: Case,
  encode: (text: string) => string,
  normalize: (answer: string) => string = (answer) => answer,
): Promise<void> {
  for (const { text, answer } of await ask(testCase)) {
    expect(encode(text), `${text} (seed ${SEED})`).toBe(normalize(answer));
  }
}

function debezium(type: string | ColumnType, options: DebeziumOptions = {}): (text: string) => string {
  const { write } = connectType(typeof type === 'string' ? baseType(type) : type, debeziumSettings(options));
  return (text) => jsonOf(write, text);
}

function plain(type: string | ColumnType): (text: string) => string {
  const write = plainWriter(typeof type === 'string' ? baseType(type) : type);
  return (text) => jsonOf(write, text);
}

const union = (...parts: string[]): string => parts.join(' UNION ALL ');
const literals = (type: string, ...texts: string[]): string =>
  `SELECT unnest(ARRAY[${texts.map((text) => `'${text.replaceAll("'", "''")}'`).join(',')}]::${type}[])`;
const random = (expression: string, count = 300): string =>
  `SELECT ${expression} FROM generate_series(1, ${count})`;

const quoted = (answer: string): string => JSON.stringify(answer);
const unscaled = (json: string): bigint => {
  const bytes = Buffer.from(JSON.parse(json) as string, 'base64');
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`));
};

describe('numbers', () => {
  test('bool', async () => {
    const values = literals('bool', 't', 'f');
    await agree({ values, oracle: 'to_json(v)' }, debezium('bool'));
    await agree({ values, oracle: 'to_json(v)' }, plain('bool'));
  });

  test.each([
    ['int2', '(random() * 65535 - 32768)::int2'],
    ['int4', "('x' || md5(random()::text))::bit(32)::int"],
    ['int8', "('x' || md5(random()::text))::bit(64)::int8"],
    ['oid', '(random() * 4294967295)::int8::oid'],
  ])('%s', async (type, expression) => {
    const extremes = { int2: 32767n, int4: 2147483647n, int8: 9223372036854775807n, oid: 4294967295n }[type];
    const edges =
      type === 'oid' ? ['0', `${extremes}`] : ['0', '-1', `${extremes}`, `${-(extremes ?? 0n) - 1n}`];
    const values = union(literals(type, ...edges), random(expression));
    await agree({ values, oracle: 'v' }, debezium(type));
    await agree({ values, oracle: 'v' }, plain(type));
  });

  test.each(['float4', 'float8'])('%s: Java’s spelling is the same number to the server', async (type) => {
    const exponent = type === 'float4' ? 37 : 300;
    const values = union(
      literals(type, '0', '-0', '1', '1e-3', '1e7', '9999999', '0.0001', '1e10', '123456789', 'NaN'),
      literals(type, 'Infinity', '-Infinity', '1.17549435e-38', '3.4e38', '1e15', '1e16', '100000', '1e6'),
      random(`((random() - 0.5) * 10 ^ (random() * ${exponent * 2} - ${exponent})::int)::${type}`),
      random(`((random() - 0.5) * 10 ^ (random() * 20 - 6)::int)::${type}`),
    );
    const rows = await ask({ values, oracle: 'v' });
    const java = rows.map(({ text }) => debezium(type)(text));
    const back = await client.query<{ text: string }>(`SELECT unnest($1::${type}[])::text AS text`, [
      java.map((json) => (json.startsWith('"') ? JSON.parse(json) : json) as string),
    ]);
    expect(back.rows.map(({ text }) => text)).toEqual(rows.map(({ text }) => text));
    for (const json of java) expect(json).toMatch(/^(-?(\d{1,7}\.\d+|\d\.\d+E-?\d+)|"(NaN|-?Infinity)")$/);
    await agree({ values, oracle: 'to_json(v)' }, plain(type));
  });

  test.each([
    [10, 2],
    [38, 10],
    [5, 5],
    [12, 0],
    [6, -3],
    [3, 5],
  ])('numeric(%i, %i)', async (precision, scale) => {
    const type = `numeric(${precision}, ${scale})`;
    const limit = `10::numeric ^ (${precision} - (${scale})) * 0.999`;
    const values = union(
      `SELECT 0::${type}`,
      random(`((random() - 0.5)::numeric * random()::numeric * (${limit}))::${type}`),
      random(`trunc(random() * 10)::numeric * 10::numeric ^ (-(${scale}))`, 20),
    );
    const columnType = baseType('numeric', { typmod: ((precision << 16) | (scale & 0x7ff)) + 4 });
    const encode = debezium(columnType);
    for (const { text, answer } of await ask({
      values: `SELECT v::${type} FROM (${values}) AS raw (v) WHERE abs(v) < ${limit}`,
      oracle: `trunc(v * 10::numeric ^ (${scale}))`,
    })) {
      expect(unscaled(encode(text)), `${text} (seed ${SEED})`).toBe(BigInt(answer));
    }
  });

  test('numeric without scale', async () => {
    const values = union(
      literals('numeric', '0', '0.000', '1.10', '100', '-100.00', '1e100', '-1e-100', '12345678901234567890'),
      random('((random() - 0.5)::numeric * 10::numeric ^ (random() * 60 - 30)::int)'),
    );
    const rows = await ask({ values, oracle: 'trim_scale(v)' });
    for (const { text, answer } of rows) {
      const { scale, value } = JSON.parse(debezium('numeric')(text)) as { scale: number; value: string };
      const [, fraction = ''] = answer.split('.');
      expect(scale, text).toBe(fraction.length);
      expect(unscaled(JSON.stringify(value)), text).toBe(BigInt(answer.replace('.', '')));
    }
    const everything = union(values, literals('numeric', 'NaN', 'Infinity', '-Infinity'));
    await agree({ values: everything, oracle: 'v' }, plain('numeric'), quoted);
    await agree({ values, oracle: 'v' }, debezium('numeric', { decimal_handling_mode: 'string' }), quoted);
  });

  test('money', async () => {
    const values = union(
      literals('money', '$1,234.11', '($1,234.11)', '0', '-92233720368547758.08', '92233720368547758.07'),
      random('((random() - 0.5) * 10 ^ (random() * 15)::int)::numeric::money'),
    );
    for (const { text, answer } of await ask({ values, oracle: '(v::numeric * 100)::int8' })) {
      expect(unscaled(debezium('money')(text)), text).toBe(BigInt(answer));
    }
    const string = debezium('money', { decimal_handling_mode: 'string' });
    await agree({ values, oracle: 'v::numeric' }, string, quoted);
  });
});

/** ISO text of the fields PostgreSQL extracts, years astronomical. */
const ISO_DATE = `(SELECT CASE WHEN y > 9999 THEN '+' WHEN y < 0 THEN '-' ELSE '' END
    || lpad(abs(y)::text, greatest(4, length(abs(y)::text)), '0') FROM (
      SELECT (extract(year FROM v) + (extract(year FROM v) < 0)::int)::int) AS astronomical (y))
  || '-' || lpad(extract(month FROM v)::text, 2, '0') || '-' || lpad(extract(day FROM v)::text, 2, '0')`;
const ISO_TIMESTAMP = `${ISO_DATE} || to_char(v, '"T"HH24:MI:SS.US')`;

const TIMESTAMPS = union(
  literals(
    'timestamp',
    '2016-11-04 13:51:30.123456',
    '4713-12-31 23:59:59.999999 BC',
    '1969-12-31 23:59:59.5',
  ),
  literals('timestamp', '0001-01-01', '0001-12-31 23:59:59 BC', '9999-12-31 23:59:59.999999', '10000-01-01'),
  literals(
    'timestamp',
    '4714-11-24 00:00:00 BC',
    '294247-01-10 04:00:53',
    '1936-10-25 22:10:12.608',
    'epoch',
  ),
  random("timestamp '1970-01-01' + (random() - 0.5) * interval '200 years'"),
  random("timestamp '2000-01-01' + (random() - 0.01) * interval '250000 years'"),
  random("timestamp '2000-01-01' - random() * interval '6700 years'"),
);

describe('date and time', () => {
  test('date', async () => {
    const values = union(
      literals(
        'date',
        '1970-01-01',
        '2016-11-04',
        '4714-11-24 BC',
        '0001-01-01',
        '0001-12-31 BC',
        '5874897-12-31',
      ),
      random("date '2000-01-01' + ((random() - 0.5) * 200000)::int"),
      random("date '2000-01-01' + (random() * 2145000000)::int"),
      random("date '2000-01-01' - (random() * 2450000)::int"),
    );
    await agree({ values, oracle: "v - date '1970-01-01'" }, debezium('date'));
    await agree({ values, oracle: ISO_DATE }, plain('date'), quoted);
    const iso = debezium('date', { time_precision_mode: 'isostring' });
    await agree({ values, oracle: `${ISO_DATE} || 'Z'` }, iso, quoted);
    const infinite = literals('date', 'infinity', '-infinity');
    await agree({ values: infinite, oracle: 'v' }, plain('date'), quoted);
  });

  test('time', async () => {
    const values = union(
      literals('time', '00:00:00', '24:00:00', '23:59:59.999999', '00:00:00.000001', '13:51:30'),
      random("time '00:00' + random() * interval '24 hours'"),
    );
    const micros = 'trunc(extract(epoch FROM v) * 1000000)::int8';
    await agree({ values, oracle: micros }, debezium('time'));
    const nanos = debezium('time', { time_precision_mode: 'nanoseconds' });
    await agree({ values, oracle: `${micros} * 1000` }, nanos);
    await agree(
      {
        values: `SELECT v::time(3) FROM (${values}) AS raw (v)`,
        oracle: 'trunc(extract(epoch FROM v) * 1000)::int',
      },
      debezium(baseType('time', { typmod: 3 })),
    );
    await agree({ values, oracle: 'v' }, plain('time'), quoted);
  });

  test('timetz', async () => {
    const zones = ['+00', '+02', '-02:30', '+15:59:59', '-15:59:59'];
    const values = union(
      literals('timetz', '13:51:30.123789+02', '00:00:00+14', '24:00:00+00', '23:59:59.999999-12:34:56'),
      ...zones.map((zone) =>
        random(`((time '00:00' + random() * interval '24 hours')::text || '${zone}')::timetz`, 60),
      ),
    );
    for (const { text, answer } of await ask({
      values,
      oracle: `CASE WHEN v = '24:00:00+00'::timetz THEN 86400000000
        ELSE mod(trunc(extract(epoch FROM v) * 1000000)::numeric + 172800000000 * 10, 86400000000) END::int8`,
    })) {
      const iso = JSON.parse(debezium('timetz')(text)) as string;
      expect(iso, text).toMatch(/^\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?Z$/);
      const [hour, minute, second] = iso.slice(0, -1).split(':');
      const micros = Math.round((Number(hour) * 3600 + Number(minute) * 60) * 1e6 + Number(second) * 1e6);
      // 24:00:00 counted as the next midnight only when an offset moved it.
      expect(String(micros), text).toBe(answer);
    }
  });

  test('timestamp', async () => {
    const micros = 'trunc(extract(epoch FROM v) * 1000000)::numeric';
    await agree({ values: TIMESTAMPS, oracle: micros }, debezium('timestamp'));
    await agree({ values: TIMESTAMPS, oracle: ISO_TIMESTAMP }, plain('timestamp'), quoted);
    const rounded = (digits: number): string =>
      `SELECT v::timestamp(${digits}) FROM (${TIMESTAMPS}) AS raw (v)`;
    for (const digits of [0, 1, 3]) {
      const type = baseType('timestamp', { typmod: digits });
      await agree(
        { values: rounded(digits), oracle: 'trunc(extract(epoch FROM v) * 1000)::numeric' },
        debezium(type),
      );
    }
    const five = baseType('timestamp', { typmod: 5 });
    await agree({ values: rounded(5), oracle: micros }, debezium(five));
    const nanos = debezium('timestamp', { time_precision_mode: 'nanoseconds' });
    const near = `SELECT v FROM (${TIMESTAMPS}) AS raw (v) WHERE v BETWEEN '1700-01-01' AND '2200-01-01'`;
    await agree({ values: near, oracle: `${micros} * 1000` }, nanos);
  });

  test('timestamptz, also where the session is not at UTC', async () => {
    const values = `SELECT (v AT TIME ZONE 'UTC') FROM (${TIMESTAMPS}) AS raw (v)`;
    // The oracle's functions read the session's zone: they get the wall clock at UTC.
    const oracle = `(SELECT ${ISO_TIMESTAMP} || 'Z' FROM (SELECT v AT TIME ZONE 'UTC') AS utc (v))`;
    for (const zone of ['UTC', 'America/St_Johns', 'Asia/Kathmandu']) {
      await client.query(`SET TimeZone = '${zone}'`);
      await agree({ values, oracle }, debezium('timestamptz'), quoted);
      await agree({ values, oracle }, plain('timestamptz'), quoted);
    }
    await client.query("SET TimeZone = 'UTC'");
    const infinite = literals('timestamptz', 'infinity', '-infinity');
    await agree({ values: infinite, oracle: 'v' }, debezium('timestamptz'), quoted);
    const millis = baseType('timestamptz', { typmod: 3 });
    await agree(
      {
        values: `SELECT v::timestamptz(3) FROM (${values}) AS raw (v) WHERE extract(year FROM v) BETWEEN 1 AND 9998`,
        oracle: `to_char(v, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
      },
      debezium(millis),
      quoted,
    );
  });

  test('interval', async () => {
    const values = union(
      literals(
        'interval',
        '1 year 2 months 3 days 04:05:06.78',
        '-00:00:01.5',
        '0',
        '-1 mon +1 day -00:00:00.000001',
      ),
      literals(
        'interval',
        '178000000 years',
        '-178000000 years',
        '2562047788:00:54.775807',
        '1 month -1 year',
      ),
      random(
        `make_interval(months => ((random() - 0.5) * 3000)::int, days => ((random() - 0.5) * 3000)::int)
          + (random() - 0.5) * interval '1000 hours'`,
      ),
    );
    const micros = `(extract(year FROM v) * 12 + extract(month FROM v)) * 2629800000000 + extract(day FROM v) * 86400000000
      + extract(hour FROM v) * 3600000000 + extract(minute FROM v) * 60000000 + extract(microseconds FROM v)`;
    await agree(
      {
        values,
        oracle: `trunc(least(greatest(${micros}, -9223372036854775808), 9223372036854775807))::numeric`,
      },
      debezium('interval'),
    );
    const iso = debezium('interval', { interval_handling_mode: 'string' });
    const rows = await ask({ values, oracle: 'v' });
    const back = await client.query<{ text: string }>('SELECT unnest($1::interval[])::text AS text', [
      rows.map(({ text }) => JSON.parse(iso(text)) as string),
    ]);
    expect(back.rows.map(({ text }) => text)).toEqual(rows.map(({ text }) => text));
    await agree({ values, oracle: 'v' }, plain('interval'), quoted);
  });
});

describe('text and bytes', () => {
  const samples = [
    '',
    'a',
    'Zoë "x" \\ /',
    'tab\t\nline\r\u0001\u001f\u007f',
    '漢字 😀\u{10ffff}',
    '  padded  ',
  ];

  test.each(['text', 'varchar', 'citext', 'char(40)', 'name', 'xml'])('%s', async (sqlType) => {
    const texts = sqlType === 'xml' ? ['<a b="c">\n&amp;</a>', ''] : samples;
    const { rows } = await client.query<{ text: string; answer: string }>(
      `SELECT format('%s', v) AS text, v::${sqlType === 'char(40)' ? 'bpchar' : sqlType}::text AS plain,
              to_json(format('%s', v))::text AS answer FROM unnest($1::text[]) AS s (raw), LATERAL (SELECT raw::${sqlType}) AS t (v)`,
      [texts],
    );
    const type = sqlType === 'char(40)' ? 'bpchar' : sqlType;
    for (const { text, answer } of rows) {
      expect(JSON.parse(debezium(type)(text))).toBe(JSON.parse(answer));
      expect(JSON.parse(plain(type)(text))).toBe(JSON.parse(answer));
    }
  });

  test.each([
    ['inet', ['192.168.2.0/12', '::1', '10.0.0.1']],
    ['cidr', ['192.168.0.0/16', '2001:db8::/32']],
    ['macaddr', ['08:00:2b:01:02:03']],
    ['macaddr8', ['08:00:2b:01:02:03:04:05']],
    ['uuid', ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']],
    ['tsvector', ["'a':1A 'it''s':2"]],
    ['tsquery', ["'a' & !'b'"]],
    ['ltree', ['top.science']],
    ['int4range', ['[1000,6000)', 'empty', '(,)']],
    ['tsrange', ['["2019-03-31 15:30:00",infinity)']],
    ['numrange', ['(1.10,2.2]']],
    ['int4multirange', ['{[1,5),[8,9)}', '{}']],
    ['pg_lsn', ['16/B374D848']],
    ['xid8', ['18446744073709551615']],
    ['jsonpath', ['$."a"[*]']],
    ['mood', ['sad', 'very happy, "really"']],
    ['pair', ['(1,"a ""b"" \\\\ c")', '(,)']],
  ])('%s is the server’s text', async (type, texts) => {
    const values = literals(type, ...texts);
    const oracle = "to_json(format('%s', v))";
    for (const { text, answer } of await ask({ values, oracle })) {
      expect(JSON.parse(debezium(type)(text))).toBe(JSON.parse(answer));
      expect(JSON.parse(plain(type)(text))).toBe(JSON.parse(answer));
    }
  });

  test('json keeps its text, jsonb the server’s form; embedded they mean the same to the server', async () => {
    const texts = [
      '{ "a" : 1.10,\n "a": [1e400, -0.0], "\\u00e9": "\\ud83d\\ude00\\n", "__proto__": null }',
      '"text"',
      '12345678901234567890123',
      'null',
      '[]',
    ];
    for (const type of ['json', 'jsonb']) {
      const rows = await ask({ values: literals(type, ...texts), oracle: 'v' });
      for (const { text, answer } of rows) expect(JSON.parse(debezium(type)(text))).toBe(answer);
      const embedded = rows.map(({ text }) => plain(type)(text));
      for (const text of embedded) expect(text).not.toMatch(/[\n\r]/);
      const { rows: same } = await client.query<{ same: boolean }>(
        'SELECT a::jsonb = b::jsonb AS same FROM unnest($1::text[], $2::text[]) AS s (a, b)',
        [embedded, rows.map(({ answer }) => answer)],
      );
      expect(same.every((row) => row.same)).toBe(true);
    }
  });

  test('bytea in every mode', async () => {
    const values = union(
      literals('bytea', '', '\\x010203', '\\xfbff'),
      `SELECT decode(md5(random()::text) || md5(random()::text), 'hex') FROM generate_series(1, 50)`,
      "SELECT decode(left(md5(random()::text), 2 * (n % 16)), 'hex') FROM generate_series(1, 50) AS n",
    );
    const base64 = "replace(encode(v, 'base64'), E'\\n', '')";
    await agree({ values, oracle: base64 }, debezium('bytea'), quoted);
    await agree({ values, oracle: base64 }, plain('bytea'), quoted);
    await agree({ values, oracle: base64 }, debezium('bytea', { binary_handling_mode: 'base64' }), quoted);
    const url = debezium('bytea', { binary_handling_mode: 'base64-url-safe' });
    await agree({ values, oracle: `translate(${base64}, '+/', '-_')` }, url, quoted);
    const hex = debezium('bytea', { binary_handling_mode: 'hex' });
    await agree({ values, oracle: "encode(v, 'hex')" }, hex, quoted);
  });

  test('bit strings as numbers', async () => {
    for (const length of [2, 7, 8, 9, 31, 63]) {
      const values = union(
        `SELECT 0::int8::bit(64)::bit(${length})`,
        random(`('x' || md5(random()::text))::bit(64)::bit(${length})`, 50),
      );
      const encode = debezium(baseType('bit', { typmod: length }));
      for (const { text, answer } of await ask({
        values,
        oracle: "lpad(v::text, 64, '0')::bit(64)::int8",
      })) {
        const bytes = Buffer.from(JSON.parse(encode(text)) as string, 'base64').reverse();
        expect(BigInt(`0x${bytes.toString('hex') || '0'}`), text).toBe(BigInt(answer));
      }
      await agree({ values, oracle: 'v' }, plain('bit'), quoted);
    }
  });
});

describe('structures', () => {
  const asJson = (json: string): unknown => JSON.parse(json);

  test.each([
    ['int4', "('x' || md5(random()::text))::bit(32)::int"],
    ['bool', 'random() < 0.5'],
    ['float8', 'random() * 1e9'],
    [
      'text',
      "CASE (random() * 9)::int WHEN 0 THEN NULL WHEN 1 THEN 'NULL' WHEN 2 THEN '' WHEN 3 THEN '\"' WHEN 4 THEN E'\\\\' WHEN 5 THEN '{a,b}' WHEN 6 THEN E'é\\n😀' ELSE md5(random()::text) END",
    ],
    ['jsonb', "jsonb_build_object('a', random()::text, 'b', ARRAY[1, 2])"],
    ['timestamp', "timestamp '2000-01-01' + random() * interval '10 years'"],
  ])('%s[], in one and two dimensions', async (type, expression) => {
    const one = `SELECT array_agg((${expression})::${type}) FROM generate_series(1, 200) AS n GROUP BY n % 40`;
    const values = union(
      `SELECT '{}'::${type}[]`,
      `SELECT ARRAY[NULL, NULL]::${type}[]`,
      one,
      `SELECT array_agg(a) FROM (SELECT ARRAY[(${expression})::${type}, (${expression})::${type}, NULL] FROM generate_series(1, 30)) AS rows (a)`,
    );
    const encode = plain(arrayOf(baseType(type)));
    for (const { text, answer } of await ask({ values, oracle: 'array_to_json(v)' })) {
      const wanted = asJson(answer);
      const padded =
        type === 'timestamp'
          ? JSON.parse(answer, (_, value: unknown) =>
              typeof value === 'string'
                ? value.replace(/(\.\d+)?$/, (f) => (f || '.').padEnd(7, '0'))
                : value,
            )
          : wanted;
      expect(asJson(encode(text)), `${text} (seed ${SEED})`).toEqual(padded);
    }
  });

  test('lower bounds, three dimensions, and the delimiter of box', async () => {
    const values = union(
      "SELECT '[0:1]={1,2}'::int4[]",
      "SELECT '[-3:-2][5:5]={{1},{2}}'::int4[]",
      "SELECT '{{{1,2},{3,4}}}'::int4[]",
    );
    await agree({ values, oracle: 'array_to_json(v)' }, plain(arrayOf(baseType('int4'))));
    await agree(
      {
        values: "SELECT ARRAY[box '(1,2),(3,4)', NULL, box '(0,0),(1,1)']",
        oracle: 'array_to_json(v)',
      },
      plain(arrayOf(baseType('box'), ';')),
    );
  });

  test('arrays of what Debezium nulls or cuts: bits, timetz, time', async () => {
    const micros = '(SELECT json_agg(trunc(extract(epoch FROM e) * 1000000)::int8) FROM unnest(v) AS e)';
    const times = "SELECT ARRAY[time '13:51:30.123456', NULL, time '24:00:00']";
    for (const { text, answer } of await ask({ values: times, oracle: micros })) {
      expect(asJson(debezium(arrayOf(baseType('time')))(text))).toEqual(asJson(answer));
    }
    const zoned = debezium(arrayOf(baseType('timetz')));
    expect(asJson(zoned('{13:51:30.123456+02,NULL}'))).toEqual(['11:51:30.123456Z', null]);
    const bits = debezium(arrayOf(baseType('bit', { typmod: 4 })));
    const { rows } = await client.query<{ text: string }>(
      "SELECT ARRAY[B'1010', NULL, B'0000']::text AS text",
    );
    expect(asJson(bits(rows[0]?.text ?? ''))).toEqual(['Cg==', null, '']);
  });

  test('hstore', async () => {
    const values = `SELECT ''::hstore UNION ALL SELECT hstore(ARRAY['a', E'q"\\\\ ', '', 'é\n'], ARRAY['1', NULL, 'NULL', E'=>, "x"'])
      UNION ALL SELECT hstore(array_agg(md5(n::text)), array_agg(CASE WHEN n % 5 = 0 THEN NULL ELSE n::text END)) FROM generate_series(1, 50) AS n`;
    for (const { text, answer } of await ask({ values, oracle: 'hstore_to_json(v)' })) {
      expect(asJson(plain('hstore')(text))).toEqual(asJson(answer));
      expect(asJson(debezium('hstore', { hstore_handling_mode: 'map' })(text))).toEqual(asJson(answer));
      expect(asJson(asJson(debezium('hstore')(text)) as string)).toEqual(asJson(answer));
    }
  });

  test('points: coordinates and WKB are the server’s own eight bytes', async () => {
    const values = union(
      literals('point', '(1,2)', '(-0,1e-300)', '(Infinity,NaN)'),
      random('point((random() - 0.5) * 1e6, (random() - 0.5) * 10 ^ (random() * 40 - 20)::int)', 50),
    );
    const oracle = "encode(float8send(v[0]), 'hex') || ' ' || encode(float8send(v[1]), 'hex')";
    for (const { text, answer } of await ask({ values, oracle })) {
      const { x, y, wkb } = asJson(debezium('point')(text)) as Record<'x' | 'y', unknown> & { wkb: string };
      const bytes = Buffer.from(wkb, 'base64');
      const hex = [5, 13].map((at) =>
        Buffer.from(bytes.subarray(at, at + 8))
          .reverse()
          .toString('hex'),
      );
      expect(hex.join(' '), text).toBe(answer);
      const back = [x, y].map((value) => {
        const big = Buffer.alloc(8);
        big.writeDoubleBE(Number(value));
        return big.toString('hex');
      });
      expect(back.join(' '), text).toBe(answer);
    }
  });

  test.each([
    ['box', 'box(point(random(), random()), point(random() + 1, random() + 1))', 'polygon(v)'],
    ['polygon', "('((' || random() || ',' || random() || '),(5,6),(7,8))')::polygon", 'v'],
    [
      'lseg',
      'lseg(point(random(), random()), point(1, 2))',
      "polygon(('(' || v[0]::text || ',' || v[1]::text || ')')::path)",
    ],
  ])('%s: its corners are the server’s', async (type, expression, polygon) => {
    for (const { text, answer } of await ask({ values: random(expression, 20), oracle: polygon })) {
      const { wkb, extensions } = asJson(debezium(type)(text)) as {
        wkb: string;
        extensions: { type: string };
      };
      expect(extensions.type).toBe(type);
      const bytes = Buffer.from(wkb, 'base64');
      const head = bytes.readUInt32LE(1) === 2 ? 9 : 13;
      const corners = Array.from({ length: (bytes.length - head) / 16 }, (_, i) =>
        [0, 8].map((offset) => bytes.readDoubleLE(head + i * 16 + offset)).join(','),
      );
      const wanted = [...answer.matchAll(/\(([^()]+)\)/g)].map(([, pair]) =>
        (pair as string).split(',').map(Number).join(','),
      );
      expect(new Set(corners)).toEqual(new Set(wanted));
    }
  });

  test('domains are their base type', async () => {
    const price: ColumnType = baseType('price', {
      kind: 'domain',
      base: baseType('numeric', { typmod: ((8 << 16) | 3) + 4 }),
    });
    const values = literals('price', '1.100', '-99999.999');
    for (const { text, answer } of await ask({ values, oracle: '(v * 1000)::int8' })) {
      expect(unscaled(debezium(price)(text))).toBe(BigInt(answer));
    }
  });
});
