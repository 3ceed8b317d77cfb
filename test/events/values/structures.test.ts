import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../../src/events/byte-writer.ts';
import { arrayWriter } from '../../../src/events/values/arrays.ts';
import { writeBase64 } from '../../../src/events/values/base64.ts';
import { DecodedBytes } from '../../../src/events/values/binary.ts';
import {
  coordinates,
  ewkbSrid,
  geometricNumbers,
  wkbLineString,
  wkbPoint,
  wkbPolygon,
} from '../../../src/events/values/geometry.ts';
import { hstoreWriter } from '../../../src/events/values/hstore.ts';
import { writeJsonString, writeVerbatim } from '../../../src/events/values/json-string.ts';
import { jsonOf } from './json-of.ts';

const ENCODING = expect.objectContaining({ code: 'E_ENCODING' });

const quote = (value: string): string => `"${value.replace(/[\\"]/g, '\\$&')}"`;

describe('arrays', () => {
  const texts = arrayWriter({ element: writeJsonString, delimiter: ',', nested: true });
  const numbers = arrayWriter({ element: writeVerbatim, delimiter: ',', nested: true });

  test.each([
    ['{}', '[]'],
    ['{a}', '["a"]'],
    ['{a,NULL,"NULL",""}', '["a",null,"NULL",""]'],
    ['{"a,b","{c}","d\\"e","f\\\\g"," h "}', '["a,b","{c}","d\\"e","f\\\\g"," h "]'],
    ['{{a,b},{NULL,d}}', '[["a","b"],[null,"d"]]'],
    ['{{{a}},{{"}"}}}', '[[["a"]],[["}"]]]'],
    ['[0:1]={a,b}', '["a","b"]'],
    ['[-1:0][5:6]={{a,b},{c,d}}', '[["a","b"],["c","d"]]'],
  ])('%s', (text, json) => {
    expect(jsonOf(texts, text)).toBe(json);
  });

  test('numbers, and a delimiter of its own as box has', () => {
    expect(jsonOf(numbers, '{{1,2},{3,4}}')).toBe('[[1,2],[3,4]]');
    const boxes = arrayWriter({ element: writeJsonString, delimiter: ';', nested: true });
    expect(jsonOf(boxes, '{(1,1),(0,0);(3,3),(2,2)}')).toBe('["(1,1),(0,0)","(3,3),(2,2)"]');
  });

  test('any strings and nulls in any shape read back', () => {
    const element = fc.option(fc.string({ unit: 'grapheme' }));
    const shape = fc
      .array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 3 })
      .map((lengths) => lengths.map((n) => n + 1));
    fc.assert(
      fc.property(
        shape,
        fc.infiniteStream(element).map((s) => [...s.take(27)]),
        (lengths, pool) => {
          let next = 0;
          const nest = (level: number): unknown =>
            level === lengths.length
              ? pool[next++]
              : Array.from({ length: lengths[level] as number }, () => nest(level + 1));
          const value = nest(0) as unknown[];
          const print = (of: unknown): string =>
            Array.isArray(of) ? `{${of.map(print).join(',')}}` : of === null ? 'NULL' : quote(of as string);
          expect(JSON.parse(jsonOf(texts, print(value)))).toEqual(value);
        },
      ),
    );
  });

  test('a second dimension is refused where the schema has no room', () => {
    const flat = arrayWriter({ element: writeVerbatim, delimiter: ',', nested: false });
    expect(jsonOf(flat, '{1,2}')).toBe('[1,2]');
    expect(() => jsonOf(flat, '{{1,2}}')).toThrow(expect.objectContaining({ code: 'E_UNSUPPORTED_ROW' }));
  });

  test('broken text is an error', () => {
    for (const text of ['', '{', '{a', 'a', '{a}}', '{"a}', '[0:1]', '{a}b', '{"a\\']) {
      expect(() => jsonOf(texts, text), text).toThrow(ENCODING);
    }
  });
});

describe('hstore', () => {
  const write = hstoreWriter(writeJsonString);

  test.each([
    ['', '{}'],
    ['"a"=>"1"', '{"a":"1"}'],
    ['"a"=>NULL, "b"=>"NULL"', '{"a":null,"b":"NULL"}'],
    ['"k\\"1"=>"v\\\\2", ""=>""', '{"k\\"1":"v\\\\2","":""}'],
    ['"__proto__"=>"x"', '{"__proto__":"x"}'],
  ])('%s', (text, json) => {
    expect(jsonOf(write, text)).toBe(json);
  });

  test('any members read back', () => {
    const key = fc.string({ unit: 'grapheme' });
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.option(key))), (members) => {
        const text = members.map(([k, v]) => `${quote(k)}=>${v === null ? 'NULL' : quote(v)}`).join(', ');
        const json = members.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(',');
        expect(JSON.parse(jsonOf(write, text))).toEqual(JSON.parse(`{${json}}`));
      }),
    );
  });

  test('broken text is an error', () => {
    for (const text of [
      'a=>1',
      '"a"',
      '"a"=>',
      '"a"=>x',
      '"a"=>"1","b"=>"2"',
      '"a=>"1"',
      '"a"=>"1',
      '"a"->"1"',
      '"a"=>"1"; "b"=>"2"',
    ]) {
      expect(() => jsonOf(write, text), text).toThrow(ENCODING);
    }
  });
});

describe('binary', () => {
  const decoded = new DecodedBytes();

  test('any bytes: hex, base64', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, urlSafe) => {
        const text = Buffer.from(`\\x${Buffer.from(bytes).toString('hex')}`);
        decoded.fromBytea(text, 0, text.length);
        expect(Buffer.from(decoded.bytes.subarray(0, decoded.length))).toEqual(Buffer.from(bytes));
        const out = new ByteWriter(1);
        writeBase64(decoded.bytes, 0, decoded.length, out, urlSafe);
        const standard = Buffer.from(bytes).toString('base64');
        const wanted = urlSafe ? standard.replaceAll('+', '-').replaceAll('/', '_') : standard;
        expect(out.view().toString()).toBe(`"${wanted}"`);
      }),
    );
  });

  test('a value of megabytes, and a small one after it', () => {
    for (const length of [3_000_000, 1, 1_500_000, 0]) {
      const bytes = Buffer.alloc(length, 0xab);
      const text = Buffer.from(`\\x${bytes.toString('hex')}`);
      decoded.fromBytea(text, 0, text.length);
      expect(Buffer.from(decoded.bytes.subarray(0, decoded.length)).equals(bytes)).toBe(true);
    }
  });

  test('bytea_output = escape is an error, not other bytes', () => {
    for (const text of ['abc', '\\x1', '\\xzz', '\\000', '']) {
      const bytes = Buffer.from(text);
      expect(() => decoded.fromBytea(bytes, 0, bytes.length), text).toThrow(ENCODING);
    }
  });

  test('bits are little-endian without high zero bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('0', '1'), maxLength: 100 }), (text) => {
        const bytes = Buffer.from(text);
        decoded.fromBits(bytes, 0, bytes.length);
        const value = [...decoded.bytes.subarray(0, decoded.length)].reduceRight(
          (sum, byte) => sum * 256n + BigInt(byte),
          0n,
        );
        expect(value).toBe(BigInt(text === '' ? 0 : `0b${text}`));
        expect(decoded.length === 0 || decoded.bytes[decoded.length - 1] !== 0).toBe(true);
      }),
    );
    expect(() => decoded.fromBits(Buffer.from('102'), 0, 3)).toThrow(ENCODING);
  });
});

describe('geometry', () => {
  const numbers = (text: string): string[] => geometricNumbers(Buffer.from(text), 0, text.length, 'x');

  test.each([
    ['(1,-2.5)', ['1', '-2.5']],
    ['<(1e+20,2),3>', ['1e+20', '2', '3']],
    ['{1,2,3}', ['1', '2', '3']],
    ['((1,2),(3,4))', ['1', '2', '3', '4']],
    ['(Infinity,NaN)', ['Infinity', 'NaN']],
  ])('%s', (text, wanted) => {
    expect(numbers(text)).toEqual(wanted);
  });

  test('other text is an error', () => {
    for (const text of ['', '(a,b)', '()']) expect(() => numbers(text), text).toThrow(ENCODING);
    expect(() => coordinates(['1'], 'x')).toThrow(ENCODING);
  });

  test('well-known binary', () => {
    expect(wkbPoint(1, 2).toString('hex')).toBe('0101000000000000000000f03f0000000000000040');
    expect(
      wkbLineString([
        [0, 0],
        [1, 0],
      ]).toString('hex'),
    ).toBe(`010200000002000000${'0'.repeat(32)}000000000000f03f${'0'.repeat(16)}`);
    expect(wkbPolygon([[0, 0]]).toString('hex')).toBe(`01030000000100000001000000${'0'.repeat(32)}`);
  });

  test('SRID of an extended WKB', () => {
    expect(ewkbSrid(Buffer.from('0101000020E6100000000000000000F03F0000000000000040', 'hex'))).toBe(4326);
    expect(ewkbSrid(Buffer.from('0020000001000010E6', 'hex'))).toBe(4326);
    expect(ewkbSrid(wkbPoint(1, 2))).toBeUndefined();
  });
});
