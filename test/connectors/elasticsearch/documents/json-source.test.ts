import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jsonElements, jsonMembers } from '../../../../connectors/elasticsearch/documents/json-source.ts';

function members(text: string): Record<string, string> {
  return Object.fromEntries(
    [...jsonMembers(Buffer.from(text))].map(([name, value]) => [name, String(value)]),
  );
}

test('members are what stands in the source, byte by byte', () => {
  expect(
    members('{"a": 1.10 , "b":{"x":[1e400,"}"],"x":2},\n"c" : "q\\"\\\\", "d":null,"é\\u0041":[ ]}'),
  ).toEqual({ a: '1.10', b: '{"x":[1e400,"}"],"x":2}', c: '"q\\"\\\\"', d: 'null', éA: '[ ]' });
  expect(members(' {} ')).toEqual({});
});

test('elements are what stands in the source', () => {
  expect(jsonElements(Buffer.from('[ {"a":[1,2]} , 9007199254740993,"x,]"]')).map(String)).toEqual([
    '{"a":[1,2]}',
    '9007199254740993',
    '"x,]"',
  ]);
  expect(jsonElements(Buffer.from('[]'))).toEqual([]);
});

test('agrees with JSON.parse on any object, however it is spaced', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.constantFrom(undefined, 1, '\t'),
      (object, indent) => {
        const source = Buffer.from(JSON.stringify(object, undefined, indent));
        const parsed = [...jsonMembers(source)].map(([name, value]) => [
          name,
          JSON.parse(String(value)) as unknown,
        ]);
        expect(parsed).toEqual(Object.entries(JSON.parse(String(source)) as object));
      },
    ),
  );
});

describe('what is not JSON is not taken for it', () => {
  test.each(['', '[1]', '{"a"}', '{"a":}', '{"a":1', '{"a":"x', '{"a":{"b":1}', '{a:1}', '{"a":1 "b":2}'])(
    '%s',
    (text) => {
      expect(() => jsonMembers(Buffer.from(text))).toThrow(RangeError);
    },
  );
});
