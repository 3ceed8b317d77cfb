import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  jacksonBytes,
  writeJacksonString,
  writeJsonString,
  writeJsonVerbatim,
} from '../../../src/events/values/json-string.ts';
import { jsonOf } from './json-of.ts';

test('any text reads back', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 200 }),
    fc.string({ unit: 'binary-ascii', maxLength: 200 }),
    fc.string({ unit: fc.constantFrom('\\', '"', '\u0001', 'é', '漢', '😀', 'x'), maxLength: 200 }),
  );
  fc.assert(
    fc.property(text, (value) => {
      const json = jsonOf(writeJsonString, value);
      expect(JSON.parse(json)).toBe(value);
      const jackson = jsonOf(writeJacksonString, value);
      expect(JSON.parse(jackson)).toBe(value);
      expect(jacksonBytes(value).toString()).toBe(jackson);
    }),
  );
});

test("Jackson's spelling: upper-case escapes, surrogate pairs for what is above U+FFFF", () => {
  expect(jsonOf(writeJacksonString, '\u001f/\u007f é 漢 😀\u{10ffff}')).toBe(
    '"\\u001F/\u007f é 漢 \\uD83D\\uDE00\\uDBFF\\uDFFF"',
  );
  expect(jacksonBytes('\\u00ab \\\u001f').toString()).toBe('"\\\\u00ab \\\\\\u001F"');
});

test('every character below U+0100 is spelled as JSON.stringify does', () => {
  for (let code = 0; code < 0x100; code++) {
    const value = `a${String.fromCodePoint(code)}b`;
    // DEL and the C1 range are ordinary characters to JSON.
    expect(jsonOf(writeJsonString, value).toLowerCase()).toBe(JSON.stringify(value).toLowerCase());
  }
});

test('UTF-8 is passed through untouched, also above U+FFFF', () => {
  expect(jsonOf(writeJsonString, 'Zoë 漢字 😀')).toBe('"Zoë 漢字 😀"');
});

test('bytes that are not UTF-8 are an error, never U+FFFD', () => {
  const byte = fc.oneof(
    fc.integer({ min: 0x20, max: 0x7e }),
    fc.integer({ min: 0x80, max: 0xff }),
    fc.constantFrom(0xc0, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5),
  );
  let invalid = 0;
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 8 }), fc.nat({ max: 80 }), (bytes, padding) => {
      const text = Buffer.from([...Buffer.alloc(padding, 0x61), ...bytes]);
      if (isUtf8(text)) expect(JSON.parse(jsonOf(writeJsonString, text))).toBe(text.toString());
      else {
        invalid++;
        expect(() => jsonOf(writeJsonString, text)).toThrow(expect.objectContaining({ code: 'E_ENCODING' }));
      }
    }),
    { numRuns: 2000 },
  );
  expect(invalid).toBeGreaterThan(500);
});

test('every first and second byte of a sequence is judged as the decoder of Node judges it', () => {
  const misjudged: string[] = [];
  for (let first = 0x80; first <= 0xff; first++) {
    for (let second = 0x70; second <= 0xff; second++) {
      for (const rest of [[], [0x80], [0xbf, 0xbf], [0x41]]) {
        const text = Buffer.from([0x41, first, second, ...rest]);
        let accepted = true;
        try {
          jsonOf(writeJsonString, text);
        } catch {
          accepted = false;
        }
        if (accepted !== isUtf8(text)) misjudged.push(text.toString('hex'));
      }
    }
  }
  expect(misjudged).toEqual([]);
});

test('a long value of control characters', () => {
  const value = '\u0000\u0001'.repeat(5000);
  expect(JSON.parse(jsonOf(writeJsonString, value))).toBe(value);
});

test('embedded json keeps its spelling but for line breaks between tokens', () => {
  const json = '{ "a" :\r\n 1.10, "a": "x\\n\\u0041", "ü": 1e400,\n"b":[ ] }';
  const embedded = jsonOf(writeJsonVerbatim, json);
  expect(embedded).toBe('{ "a" :   1.10, "a": "x\\n\\u0041", "ü": 1e400, "b":[ ] }');
  expect(JSON.parse(embedded)).toEqual(JSON.parse(json));
});
