import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../../src/events/byte-writer.ts';
import type { EventView } from '../../../src/events/change-event.ts';
import { plainWriter } from '../../../src/events/formats/plain/column-types.ts';
import {
  createDocumentEncoder,
  createRecordEncoder,
  type FormatOptions,
} from '../../../src/events/formats/record-format.ts';
import type { ColumnType } from '../../../src/events/relation.ts';
import {
  arrayOf,
  baseType,
  eventOf,
  NOT_CAPTURED,
  relationOf,
  TupleBuilder,
  type TupleValue,
  UNCHANGED,
} from '../tuple-builder.ts';
import { jsonOf } from '../values/json-of.ts';
import { CONTEXT, recordsOf } from './records.ts';

const build = new TupleBuilder();
const orders = relationOf({ id: { type: 'int8', key: true }, name: {}, price: { type: 'numeric' } });

const INSERT = eventOf({ op: 'insert', relation: orders, body: build.insert(['1', 'a', '1.10']) });
const DELETE = eventOf({
  op: 'delete',
  relation: orders,
  body: build.delete({ tag: 'K', values: ['1', null, null] }),
});
const KEY_CHANGE = eventOf({
  op: 'update',
  relation: orders,
  body: build.update({ tag: 'K', values: ['1', null, null] }, ['2', 'a', null]),
});
const TRUNCATE = eventOf({ op: 'truncate', relation: orders, body: build.truncate() });

function pairs(event: EventView, options: Partial<FormatOptions> = {}): unknown[] {
  const encoder = createRecordEncoder({ format: 'plain', ...options }, event.relation, CONTEXT);
  return recordsOf(encoder, event).map(({ key, value, headers }) => {
    expect(headers).toEqual({});
    return [key, value];
  });
}

describe('records', () => {
  test('deletes: tombstone', () => {
    expect(pairs(INSERT)).toEqual([['{"id":1}', '{"id":1,"name":"a","price":"1.10"}']]);
    expect(pairs(DELETE)).toEqual([['{"id":1}', null]]);
    expect(pairs(KEY_CHANGE)).toEqual([
      ['{"id":1}', null],
      ['{"id":2}', '{"id":2,"name":"a","price":null}'],
    ]);
  });

  test('deletes: rewrite', () => {
    const options = { deletes: 'rewrite' } as const;
    expect(pairs(INSERT, options)).toEqual([
      ['{"id":1}', '{"id":1,"name":"a","price":"1.10","__deleted":"false"}'],
    ]);
    // What the old image does not hold is not there: null would be a claim.
    expect(pairs(DELETE, options)).toEqual([['{"id":1}', '{"id":1,"__deleted":"true"}']]);
    expect(pairs(KEY_CHANGE, options)).toEqual([
      ['{"id":1}', '{"id":1,"__deleted":"true"}'],
      ['{"id":2}', '{"id":2,"name":"a","price":null,"__deleted":"false"}'],
    ]);
  });

  test('deletes: drop', () => {
    const options = { deletes: 'drop' } as const;
    expect(pairs(DELETE, options)).toEqual([]);
    expect(pairs(KEY_CHANGE, options)).toEqual([['{"id":2}', '{"id":2,"name":"a","price":null}']]);
  });

  test('truncates', () => {
    expect(pairs(TRUNCATE)).toEqual([]);
    expect(pairs(TRUNCATE, { truncates: 'marker' })).toEqual([
      [null, '{"__op":"truncate","__schema":"public","__table":"orders"}'],
    ]);
  });

  test('messages', () => {
    const body = build.message({ prefix: 'p', content: Buffer.from('hi'), transactional: false });
    const event = eventOf({ op: 'message', relation: relationOf({}), body });
    expect(pairs(event)).toEqual([['{"prefix":"p"}', '{"prefix":"p","content":"aGk="}']]);
  });

  test('an unchanged TOAST value is left out and named', () => {
    const body = build.update(undefined, ['1', UNCHANGED, UNCHANGED]);
    const event = eventOf({ op: 'update', relation: orders, body });
    expect(pairs(event)).toEqual([['{"id":1}', '{"id":1,"__unchanged":["name","price"]}']]);
    expect(pairs(event, { deletes: 'rewrite' })).toEqual([
      ['{"id":1}', '{"id":1,"__deleted":"false","__unchanged":["name","price"]}'],
    ]);
  });

  test('a refused row leaves nothing for the next one', () => {
    const relation = relationOf({ id: { type: 'int4', key: true }, big: {}, at: { type: 'date' } });
    const encoder = createRecordEncoder({ format: 'plain' }, relation, CONTEXT);
    const event = (values: TupleValue[]): EventView =>
      eventOf({ op: 'update', relation, body: build.update(undefined, values) });
    const out = new ByteWriter(1);
    expect(() => encoder.value(event(['1', UNCHANGED, 'no date']), 0, out)).toThrow(
      expect.objectContaining({ code: 'E_ENCODING' }),
    );
    expect(out.length).toBe(0);
    encoder.value(event(['1', 'b', null]), 0, out);
    expect(out.view().toString()).toBe('{"id":1,"big":"b","at":null}');
  });
});

describe('documents', () => {
  const document = (event: EventView, columns?: readonly number[]): unknown[] => {
    const out = new ByteWriter(1);
    const incomplete = createDocumentEncoder(event.relation, { columns }).document(event, 'after', out);
    return [out.view().toString(), incomplete];
  };

  test('complete, and with columns selected', () => {
    expect(document(INSERT)).toEqual(['{"id":1,"name":"a","price":"1.10"}', undefined]);
    expect(document(INSERT, [2, 0])).toEqual(['{"id":1,"price":"1.10"}', undefined]);
    expect(document(INSERT, [])).toEqual(['{}', undefined]);
  });

  test('incomplete: which columns are missing', () => {
    const relation = relationOf({
      id: { type: 'int8', key: true },
      card: { captured: false },
      name: {},
      note: {},
    });
    const body = build.update(undefined, ['1', NOT_CAPTURED, UNCHANGED, null]);
    expect(document(eventOf({ op: 'update', relation, body }))).toEqual([
      '{"id":1,"note":null}',
      { unchanged: [2] },
    ]);
  });

  test('names of columns are JSON strings', () => {
    const relation = relationOf({ 'a"b\\': {}, '漢\n': {}, __proto: {} });
    const event = eventOf({ op: 'insert', relation, body: build.insert(['1', '2', '3']) });
    expect(JSON.parse(document(event)[0] as string)).toEqual({ 'a"b\\': '1', '漢\n': '2', __proto: '3' });
  });

  test('any row of text, numbers and nulls reads back', () => {
    const value = fc.option(fc.string({ unit: 'grapheme' }));
    fc.assert(
      fc.property(fc.array(value, { maxLength: 30 }), (values) => {
        const relation = relationOf(Object.fromEntries(values.map((_, i) => [`c${i}`, {}])));
        const event = eventOf({ op: 'insert', relation, body: build.insert(values) });
        const wanted = Object.fromEntries(values.map((text, i) => [`c${i}`, text]));
        expect(JSON.parse(document(event)[0] as string)).toEqual(wanted);
      }),
    );
  });
});

test.each<[ColumnType | string, string, string]>([
  ['bool', 't', 'true'],
  ['int8', '-9223372036854775808', '-9223372036854775808'],
  ['numeric', '-0.10', '"-0.10"'],
  ['numeric', 'NaN', '"NaN"'],
  ['float8', '1e-07', '1e-07'],
  ['float4', '-Infinity', '"-Infinity"'],
  ['money', '$1.10', '"$1.10"'],
  ['date', '2016-11-04', '"2016-11-04"'],
  ['date', '0044-03-15 BC', '"-0043-03-15"'],
  ['date', 'infinity', '"infinity"'],
  ['time', '24:00:00', '"24:00:00"'],
  ['timetz', '13:51:30.5+02', '"13:51:30.5+02"'],
  ['timestamp', '2016-11-04 13:51:30.5', '"2016-11-04T13:51:30.500000"'],
  ['timestamp', '-infinity', '"-infinity"'],
  ['timestamptz', '2016-11-04 13:51:30.123456+02', '"2016-11-04T11:51:30.123456Z"'],
  [baseType('timestamptz', { typmod: 0 }), '12016-11-04 13:51:30+00', '"+12016-11-04T13:51:30Z"'],
  ['interval', '1 year -2 days', '"1 year -2 days"'],
  ['bytea', '\\x010203', '"AQID"'],
  ['json', '{"a":\n1}', '{"a": 1}'],
  ['jsonb', '{"__proto__": 1e400}', '{"__proto__": 1e400}'],
  ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'],
  ['hstore', '"a"=>NULL', '{"a":null}'],
  ['point', '(1,2)', '"(1,2)"'],
  ['varbit', '0001', '"0001"'],
  ['vector', '[1,2.5]', '[1,2.5]'],
  ['tsvector', "'a' 'b'", "\"'a' 'b'\""],
  [arrayOf(baseType('int4')), '{{1,NULL},{3,4}}', '[[1,null],[3,4]]'],
  [arrayOf(baseType('jsonb')), '{"{\\"a\\": [1]}"}', '[{"a": [1]}]'],
  [arrayOf(baseType('timestamptz')), '{"2016-11-04 13:51:30+00"}', '["2016-11-04T13:51:30.000000Z"]'],
  [baseType('mood', { kind: 'enum' }), 'sad "x"', '"sad \\"x\\""'],
  [baseType('int4range', { kind: 'range' }), '[1,5)', '"[1,5)"'],
  [baseType('pair', { kind: 'composite' }), '(1,"a b")', '"(1,\\"a b\\")"'],
  [baseType('age', { kind: 'domain', base: baseType('int4') }), '7', '7'],
])('%o %s', (type, text, json) => {
  const columnType = typeof type === 'string' ? baseType(type) : type;
  expect(jsonOf(plainWriter(columnType), text)).toBe(json);
});
