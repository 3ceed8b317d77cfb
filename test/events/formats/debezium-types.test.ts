import { describe, expect, test } from 'vitest';
import { connectType } from '../../../src/events/formats/debezium/column-types.ts';
import { schemaJson } from '../../../src/events/formats/debezium/connect-schema.ts';
import { type DebeziumOptions, debeziumSettings } from '../../../src/events/formats/debezium/options.ts';
import type { ColumnType } from '../../../src/events/relation.ts';
import { arrayOf, baseType } from '../tuple-builder.ts';
import { jsonOf } from '../values/json-of.ts';

const numeric = (precision: number, scale: number): ColumnType =>
  baseType('numeric', { typmod: ((precision << 16) | (scale & 0x7ff)) + 4 });
const typmod = (name: string, modifier: number): ColumnType => baseType(name, { typmod: modifier });

function encode(type: ColumnType | string, text: string, options: DebeziumOptions = {}): string {
  const columnType = typeof type === 'string' ? baseType(type) : type;
  return jsonOf(connectType(columnType, debeziumSettings(options)).write, text);
}

/** `type` and `name` of the schema, `name` with its parameters. */
function schemaOf(type: ColumnType | string, options: DebeziumOptions = {}): unknown {
  const columnType = typeof type === 'string' ? baseType(type) : type;
  const { optional, ...schema } = schemaJson(connectType(columnType, debeziumSettings(options)).schema);
  expect(optional).toBe(false);
  return JSON.parse(JSON.stringify(schema));
}

const logical = (type: string, name: string, parameters?: Record<string, string>): unknown => ({
  type,
  name,
  version: 1,
  ...(parameters === undefined ? {} : { parameters }),
});

describe('values with their defaults', () => {
  test.each<[ColumnType | string, string, string]>([
    ['bool', 't', 'true'],
    ['bool', 'f', 'false'],
    [typmod('bit', 1), '1', 'true'],
    [typmod('bit', 1), '0', 'false'],
    [typmod('bit', 2), '11', '"Aw=="'],
    [typmod('bit', 7), '1000000', '"QA=="'],
    [typmod('bit', 7), '0000000', '""'],
    [typmod('bit', 12), '000100000001', '"AQE="'],
    [typmod('varbit', -1), '101', '"BQ=="'],
    [typmod('varbit', 1), '1', 'true'],
    ['int2', '-32768', '-32768'],
    ['int4', '2147483647', '2147483647'],
    ['int8', '9223372036854775807', '9223372036854775807'],
    ['oid', '4294967295', '4294967295'],
    ['float4', '3.3', '3.3'],
    ['float8', '4.44e+20', '4.44E20'],
    ['float8', 'NaN', '"NaN"'],
    ['text', 'a "b"\n', '"a \\"b\\"\\n"'],
    ['bpchar', 'ab   ', '"ab   "'],
    ['name', 'n', '"n"'],
    ['inet', '192.168.2.0/12', '"192.168.2.0/12"'],
    [numeric(3, 2), '1.10', '"bg=="'],
    [numeric(6, 4), '22.2200', '"A2P4"'],
    ['numeric', '10.1000', '{"scale":1,"value":"ZQ=="}'],
    ['numeric', '10.1111', '{"scale":4,"value":"AYr3"}'],
    ['money', '$1,234.11', '"AeIT"'],
    ['money', '-$1,234.11', '"/h3t"'],
    ['date', '2016-11-04', '17109'],
    ['date', '1969-12-31', '-1'],
    ['date', 'infinity', '-2147472692'],
    ['date', '-infinity', '-2147472691'],
    ['time', '13:51:30', '49890000000'],
    [typmod('time', 3), '13:51:30.123', '49890123'],
    [typmod('time', 0), '00:00:00', '0'],
    [typmod('time', 6), '24:00:00', '86400000000'],
    ['timestamp', '2016-11-04 13:51:30.123456', '1478267490123456'],
    [typmod('timestamp', 3), '2016-11-04 13:51:30.123', '1478267490123'],
    [typmod('timestamp', 3), '1936-10-25 22:10:12.608', '-1047174587392'],
    ['timestamp', '1936-10-25 22:10:12.608', '-1047174587392000'],
    ['timestamp', '4713-12-31 23:59:59.999999 BC', '-210831897600000001'],
    ['timestamp', 'infinity', '9223372036825200000'],
    ['timestamp', '-infinity', '-9223372036832400000'],
    [typmod('timestamp', 0), 'infinity', '9223372036825200'],
    [typmod('timestamp', 3), '-infinity', '-9223372036832400'],
    ['timestamptz', '2016-11-04 11:51:30.123456+00', '"2016-11-04T11:51:30.123456Z"'],
    ['timestamptz', '2016-11-04 13:51:30.123456+02', '"2016-11-04T11:51:30.123456Z"'],
    ['timestamptz', '2016-11-04 11:51:30.5+00', '"2016-11-04T11:51:30.500000Z"'],
    ['timestamptz', '2016-11-04 11:51:30+00', '"2016-11-04T11:51:30.000000Z"'],
    [typmod('timestamptz', 3), '2016-11-04 11:51:30.1+00', '"2016-11-04T11:51:30.100Z"'],
    [typmod('timestamptz', 0), '2016-11-04 11:51:30+00', '"2016-11-04T11:51:30Z"'],
    ['timestamptz', '21016-11-04 06:51:30.123456+00', '"+21016-11-04T06:51:30.123456Z"'],
    ['timestamptz', '4714-12-31 23:59:59.999999+00 BC', '"-4713-12-31T23:59:59.999999Z"'],
    ['timestamptz', 'infinity', '"infinity"'],
    ['timestamptz', '-infinity', '"-infinity"'],
    ['timetz', '13:51:30.123789+02', '"11:51:30.123789Z"'],
    ['timetz', '13:51:02+02', '"11:51:02Z"'],
    ['timetz', '00:30:00+01', '"23:30:00Z"'],
    ['timetz', '23:30:00-01', '"00:30:00Z"'],
    ['timetz', '24:00:00+00', '"24:00:00Z"'],
    ['interval', '1 year 2 mons 3 days 04:05:06.78', '37091106780000'],
    ['bytea', '\\x010203', '"AQID"'],
    ['bytea', '\\x', '""'],
    ['json', '{ "a": 1.10 }', '"{ \\"a\\": 1.10 }"'],
    ['jsonb', '{"a": 1.10}', '"{\\"a\\": 1.10}"'],
    ['xml', '<a/>', '"<a/>"'],
    ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'],
    ['hstore', '"key"=>"val", "n"=>NULL', '"{\\"key\\":\\"val\\",\\"n\\":null}"'],
    ['int4range', '[1000,6000)', '"[1000,6000)"'],
    ['tsrange', '["2019-03-31 15:30:00",infinity)', '"[\\"2019-03-31 15:30:00\\",infinity)"'],
    ['point', '(1,1.5)', '{"x":1.0,"y":1.5,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAPg/","srid":null}'],
    ['line', '{1,-2,3}', '{"a":1.0,"b":-2.0,"c":3.0}'],
    [
      'geometry',
      '0101000020E6100000000000000000F03F0000000000000040',
      '{"wkb":"AQEAACDmEAAAAAAAAAAA8D8AAAAAAAAAQA==","srid":4326}',
    ],
    [
      'geography',
      '0101000000000000000000F03F0000000000000040',
      '{"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAABA","srid":null}',
    ],
    ['vector', '[1,2.5,-3e-05]', '[1.0,2.5,-3.0E-5]'],
    ['halfvec', '[0.25]', '[0.25]'],
    ['sparsevec', '{1:1.5,3:2}/5', '{"dimensions":5,"vector":[[1,1.5],[3,2.0]]}'],
    ['sparsevec', '{}/5', '{"dimensions":5,"vector":[]}'],
    [arrayOf(baseType('int4')), '{1,NULL,3}', '[1,null,3]'],
    [arrayOf(numeric(3, 2)), '{1.10,NULL}', '["bg==",null]'],
    [arrayOf(baseType('date')), '{2016-11-04}', '[17109]'],
    [arrayOf(baseType('time')), '{13:51:30.123456}', '[49890123456]'],
    [arrayOf(baseType('timetz')), '{13:51:30.5+00}', '["13:51:30.5Z"]'],
    [arrayOf(typmod('bit', 2)), '{11,00}', '["Aw==",""]'],
    [arrayOf(baseType('int4')), '{{1,2},{3,4}}', '[[1,2],[3,4]]'],
    [baseType('pg_lsn'), '16/B374D848', '"16/B374D848"'],
    [baseType('box_of_something', { kind: 'composite' }), '(1,"a b")', '"(1,\\"a b\\")"'],
  ])('%o %s', (type, text, json) => {
    expect(encode(type, text)).toBe(json);
    expect(() => JSON.parse(json)).not.toThrow();
  });

  test('built-in shapes as well-known binary', () => {
    const shape = (type: string, text: string) => {
      const { wkb, srid, extensions } = JSON.parse(encode(type, text)) as {
        wkb: string;
        srid: null;
        extensions: unknown;
      };
      expect(srid).toBe(null);
      const bytes = Buffer.from(wkb, 'base64');
      const head = bytes.readUInt32LE(1) === 2 ? 5 : 9;
      const numbers = Array.from({ length: (bytes.length - head - 4) / 8 }, (_, i) =>
        bytes.readDoubleLE(head + 4 + i * 8),
      );
      return { type: bytes.readUInt32LE(1), points: bytes.readUInt32LE(head), numbers, extensions };
    };
    expect(shape('box', '(3,4),(1,2)')).toEqual({
      type: 3,
      points: 5,
      numbers: [3, 4, 3, 2, 1, 2, 1, 4, 3, 4],
      extensions: { type: 'box' },
    });
    expect(shape('lseg', '[(1,2),(3,4)]')).toEqual({
      type: 2,
      points: 2,
      numbers: [1, 2, 3, 4],
      extensions: { type: 'lseg' },
    });
    expect(shape('path', '((1,2),(3,4))').extensions).toEqual({ type: 'path', closed: 'true' });
    expect(shape('path', '[(1,2),(3,4)]').extensions).toEqual({ type: 'path', closed: 'false' });
    expect(shape('polygon', '((0,0),(1,0),(1,1))')).toMatchObject({
      type: 3,
      points: 4,
      numbers: [0, 0, 1, 0, 1, 1, 0, 0],
    });
    expect(JSON.parse(encode('circle', '<(1,2),3>'))).toMatchObject({ center: { x: 1, y: 2 }, radius: 3 });
  });
});

describe('value modes', () => {
  test('decimal', () => {
    const string: DebeziumOptions = { decimal_handling_mode: 'string' };
    const double: DebeziumOptions = { decimal_handling_mode: 'double' };
    expect(encode('numeric', '-12345678901234567890.0100', string)).toBe('"-12345678901234567890.0100"');
    expect(encode('numeric', 'NaN', string)).toBe('"NAN"');
    expect(encode('numeric', 'Infinity', string)).toBe('"POSITIVE_INFINITY"');
    expect(encode('numeric', '-Infinity', string)).toBe('"NEGATIVE_INFINITY"');
    expect(encode('numeric', '1.10', double)).toBe('1.1');
    expect(encode('numeric', '100', double)).toBe('100.0');
    expect(encode('numeric', 'NaN', double)).toBe('"NaN"');
    expect(encode('money', '-$1,234.10', string)).toBe('"-1234.10"');
    expect(encode('money', '$1,234.10', double)).toBe('1234.1');
    expect(encode('money', '$12.34', { ...string, money_fraction_digits: 0 })).toBe('"1234"');
    for (const text of ['NaN', 'Infinity', '-Infinity']) {
      for (const type of [baseType('numeric'), numeric(3, 2)]) {
        expect(() => encode(type, text)).toThrow(expect.objectContaining({ code: 'E_UNSUPPORTED_ROW' }));
      }
    }
  });

  test('time', () => {
    const of = (
      mode: NonNullable<DebeziumOptions['time_precision_mode']>,
      type: ColumnType | string,
      text: string,
    ) => encode(type, text, { time_precision_mode: mode });
    const timestamp = '2016-11-04 13:51:30.123456';
    expect(of('adaptive_time_microseconds', typmod('time', 3), '04:05:11.789')).toBe('14711789000');
    expect(of('adaptive_time_microseconds', typmod('timestamp', 3), '2016-11-04 13:51:30.123')).toBe(
      '1478267490123',
    );
    expect(of('microseconds', typmod('timestamp', 0), '2016-11-04 13:51:30')).toBe('1478267490000000');
    expect(of('microseconds', typmod('time', 0), '04:05:11')).toBe('14711000000');
    expect(of('nanoseconds', 'timestamp', timestamp)).toBe('1478267490123456000');
    expect(of('nanoseconds', 'time', '04:05:11.789')).toBe('14711789000000');
    expect(of('connect', 'timestamp', timestamp)).toBe('1478267490123');
    expect(of('connect', 'time', '04:05:11.7899')).toBe('14711789');
    expect(of('connect', 'date', '2016-11-04')).toBe('17109');
    expect(of('isostring', 'date', '2017-09-15')).toBe('"2017-09-15Z"');
    expect(of('isostring', 'date', '-infinity')).toBe('"-infinity"');
    expect(of('isostring', 'time', '04:05:11.789')).toBe('"04:05:11.789Z"');
    expect(of('isostring', 'timestamp', timestamp)).toBe('"2016-11-04T13:51:30.123456Z"');
    expect(of('isostring', 'timestamp', '0044-03-15 12:00:00 BC')).toBe('"-0043-03-15T12:00:00Z"');
    expect(of('structured', typmod('timestamp', 3), '2016-11-04 13:51:30.123')).toBe(
      '{"year":2016,"month":11,"day":4,"hour":13,"minute":51,"second":30,"nanos":123000000,"specialValue":null,"precision":3}',
    );
    expect(JSON.parse(of('structured', 'date', 'infinity'))).toEqual({
      year: null,
      month: null,
      day: null,
      specialValue: 'POSITIVE_INFINITY',
    });
    expect(JSON.parse(of('structured', 'timetz', '24:00:00-02:30'))).toEqual({
      hour: 24,
      minute: 0,
      second: 0,
      nanos: 0,
      offsetSeconds: -9000,
      precision: 6,
    });
    expect(JSON.parse(of('structured', 'timestamptz', '2016-11-04 13:51:30+02'))).toMatchObject({
      hour: 11,
      offsetSeconds: 0,
      zoneId: 'Z',
    });
    expect(of('structured', 'interval', '1 year -2 days -04:05:06.78')).toBe(
      '{"years":1,"months":0,"days":-2,"hours":-4,"minutes":-5,"seconds":-6,"nanos":-780000000,"precision":6}',
    );
  });

  test('a timestamp that does not fit its integer is refused', () => {
    const refused = expect.objectContaining({ code: 'E_UNSUPPORTED_ROW' });
    expect(() => encode('timestamp', '294276-12-31 23:59:59.999999')).toThrow(refused);
    expect(encode('timestamp', '294247-01-10 04:00:53.999999')).toBe('9223372036853999999');
    const nanos: DebeziumOptions = { time_precision_mode: 'nanoseconds' };
    expect(() => encode('timestamp', '2262-04-12 00:00:00', nanos)).toThrow(refused);
    expect(() => encode('timestamp', 'infinity', nanos)).toThrow(refused);
  });

  test('interval, binary, hstore', () => {
    expect(encode('interval', '1 year 2 mons 3 days 04:05:06.78', { interval_handling_mode: 'string' })).toBe(
      '"P1Y2M3DT4H5M6.78S"',
    );
    expect(encode('bytea', '\\xfbff', { binary_handling_mode: 'base64' })).toBe('"+/8="');
    expect(encode('bytea', '\\xfbff', { binary_handling_mode: 'base64-url-safe' })).toBe('"-_8="');
    expect(encode('bytea', '\\xfbff', { binary_handling_mode: 'hex' })).toBe('"fbff"');
    expect(encode('hstore', '"a"=>"1"', { hstore_handling_mode: 'map' })).toBe('{"a":"1"}');
  });
});

describe('schemas', () => {
  test.each<[ColumnType | string, unknown, DebeziumOptions?]>([
    ['bool', { type: 'boolean' }],
    [typmod('bit', 1), { type: 'boolean' }],
    [typmod('bit', 5), logical('bytes', 'io.debezium.data.Bits', { length: '5' })],
    [typmod('varbit', -1), logical('bytes', 'io.debezium.data.Bits', { length: '2147483647' })],
    ['int2', { type: 'int16' }],
    ['int4', { type: 'int32' }],
    ['int8', { type: 'int64' }],
    ['oid', { type: 'int64' }],
    ['float4', { type: 'float' }],
    ['float8', { type: 'double' }],
    ['citext', { type: 'string' }],
    ['xid8', { type: 'string' }],
    [
      numeric(10, 2),
      logical('bytes', 'org.apache.kafka.connect.data.Decimal', {
        scale: '2',
        'connect.decimal.precision': '10',
      }),
    ],
    ['money', logical('bytes', 'org.apache.kafka.connect.data.Decimal', { scale: '2' })],
    [
      'numeric',
      {
        type: 'struct',
        fields: [
          { type: 'int32', optional: false, field: 'scale' },
          { type: 'bytes', optional: false, field: 'value' },
        ],
        name: 'io.debezium.data.VariableScaleDecimal',
        version: 1,
        doc: 'Variable scaled decimal',
      },
    ],
    ['numeric', { type: 'double' }, { decimal_handling_mode: 'double' }],
    ['date', logical('int32', 'io.debezium.time.Date')],
    ['date', logical('int32', 'org.apache.kafka.connect.data.Date'), { time_precision_mode: 'connect' }],
    [typmod('time', 3), logical('int32', 'io.debezium.time.Time')],
    ['time', logical('int64', 'io.debezium.time.MicroTime')],
    [typmod('timestamp', 2), logical('int64', 'io.debezium.time.Timestamp')],
    ['timestamp', logical('int64', 'io.debezium.time.MicroTimestamp')],
    ['timestamptz', logical('string', 'io.debezium.time.ZonedTimestamp')],
    ['timetz', logical('string', 'io.debezium.time.ZonedTime')],
    ['interval', logical('int64', 'io.debezium.time.MicroDuration')],
    ['interval', logical('string', 'io.debezium.time.Interval'), { interval_handling_mode: 'string' }],
    ['bytea', { type: 'bytes' }],
    ['bytea', { type: 'string' }, { binary_handling_mode: 'hex' }],
    ['json', logical('string', 'io.debezium.data.Json')],
    ['uuid', logical('string', 'io.debezium.data.Uuid')],
    ['xml', logical('string', 'io.debezium.data.Xml')],
    ['ltree', logical('string', 'io.debezium.data.Ltree')],
    ['hstore', logical('string', 'io.debezium.data.Json')],
    [
      baseType('mood', { kind: 'enum', labels: ['sad', 'ok', 'happy'] }),
      logical('string', 'io.debezium.data.Enum', { allowed: 'sad,ok,happy' }),
    ],
    [arrayOf(baseType('int4')), { type: 'array', items: { type: 'int32', optional: true } }],
    [
      baseType('price', { kind: 'domain', base: numeric(8, 3) }),
      logical('bytes', 'org.apache.kafka.connect.data.Decimal', {
        scale: '3',
        'connect.decimal.precision': '8',
      }),
    ],
    [
      'vector',
      {
        ...(logical('array', 'io.debezium.data.DoubleVector') as object),
        items: { type: 'double', optional: false },
      },
    ],
  ])('%o', (type, schema, options) => {
    expect(schemaOf(type, options)).toEqual(schema);
  });
});
