import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../../src/events/byte-writer.ts';
import { writeFloat, writeJavaDouble, writeJavaFloat } from '../../../src/events/values/floats.ts';
import { writeInteger, writePadded, writeScaled } from '../../../src/events/values/integers.ts';
import {
  decimalText,
  numericModifier,
  readDecimal,
  readMoney,
  writeDecimal,
  writeVariableScaleDecimal,
} from '../../../src/events/values/numerics.ts';
import { jsonOf } from './json-of.ts';

function written(write: (out: ByteWriter) => void): string {
  const out = new ByteWriter(1);
  write(out);
  return out.view().toString('latin1');
}

describe('integers', () => {
  test('any safe integer', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(written((out) => writeInteger(out, value))).toBe(String(value));
      }),
    );
    for (const value of [0, 9, 10, 999_999_999, 1e9, 1e9 + 1, 1e15, Number.MAX_SAFE_INTEGER]) {
      expect(written((out) => writeInteger(out, value))).toBe(String(value));
      expect(written((out) => writeInteger(out, -value - 1))).toBe(String(-value - 1));
    }
  });

  test('whole and part make one exact integer, beyond 2 ** 53 and below zero', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -9_223_372_036_854, max: 9_223_372_036_854 }),
        fc.constantFrom(3, 6, 9),
        fc.nat({ max: 999_999_999 }),
        (whole, width, part) => {
          const bounded = part % 10 ** width;
          const exact = BigInt(whole) * 10n ** BigInt(width) + BigInt(bounded);
          expect(written((out) => writeScaled(out, whole, bounded, width))).toBe(exact.toString());
        },
      ),
    );
    expect(written((out) => writeScaled(out, -1, 999_999, 6))).toBe('-1');
    expect(written((out) => writeScaled(out, 0, 0, 6))).toBe('0');
    expect(written((out) => writeScaled(out, -1, 0, 6))).toBe('-1000000');
  });

  test('padding', () => {
    expect(written((out) => writePadded(out, 7, 2))).toBe('07');
    expect(written((out) => writePadded(out, 0, 9))).toBe('000000000');
  });
});

describe('floats', () => {
  test.each([
    ['0', '0.0'],
    ['-0', '-0.0'],
    ['1', '1.0'],
    ['-1.5', '-1.5'],
    ['100', '100.0'],
    ['0.001', '0.001'],
    ['0.0001', '1.0E-4'],
    ['0.00012345', '1.2345E-4'],
    ['1e-07', '1.0E-7'],
    ['9999999', '9999999.0'],
    ['10000000', '1.0E7'],
    ['12345678.9', '1.23456789E7'],
    ['1e+10', '1.0E10'],
    ['1.5e+300', '1.5E300'],
    ['1234567', '1234567.0'],
    ['3.4028235e+38', '3.4028235E38'],
    ['1.7976931348623157e+308', '1.7976931348623157E308'],
    ['2.2250738585072014e-308', '2.2250738585072014E-308'],
    ['123456789012345', '1.23456789012345E14'],
    ['NaN', '"NaN"'],
    ['Infinity', '"Infinity"'],
    ['-Infinity', '"-Infinity"'],
  ])('%s in Java is %s', (text, java) => {
    expect(jsonOf(writeJavaFloat, text)).toBe(java);
  });

  test('any double keeps its value in both spellings', () => {
    fc.assert(
      fc.property(fc.double(), (value) => {
        if (!Number.isFinite(value)) return;
        const text = Object.is(value, -0) ? '-0' : String(value);
        expect(Object.is(Number(jsonOf(writeJavaFloat, text)), value)).toBe(true);
        expect(Object.is(JSON.parse(jsonOf(writeFloat, text)), value)).toBe(true);
        expect(written((out) => writeJavaDouble(value, out))).toBe(jsonOf(writeJavaFloat, text));
        expect(jsonOf(writeJavaFloat, text)).toMatch(/^-?\d+\.\d+(E-?\d+)?$/);
      }),
      { numRuns: 2000 },
    );
  });

  test("PostgreSQL's spelling is JSON, what is not finite a string", () => {
    expect(jsonOf(writeFloat, '1e+20')).toBe('1e+20');
    for (const name of ['NaN', 'Infinity', '-Infinity']) expect(jsonOf(writeFloat, name)).toBe(`"${name}"`);
  });
});

describe('numerics', () => {
  const precise = (text: string, scale: number): string =>
    jsonOf((bytes, start, end, out) => writeDecimal(bytes, start, end, scale, out), text);

  test.each([
    ['1.10', 2, '"bg=="'],
    ['22.2200', 4, '"A2P4"'],
    ['0.00', 2, '"AA=="'],
    ['-0.01', 2, '"/w=="'],
    ['1.27', 2, '"fw=="'],
    ['1.28', 2, '"AIA="'],
    ['-1.28', 2, '"gA=="'],
    ['-1.29', 2, '"/38="'],
    ['12300', -2, '"ew=="'],
  ])('%s at scale %i', (text, scale, json) => {
    expect(precise(text, scale)).toBe(json);
  });

  test('any digits, at any length: the unscaled value in minimal two’s complement', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(10n ** 60n), max: 10n ** 60n }),
        fc.nat({ max: 20 }),
        (unscaled, scale) => {
          const bytes = Buffer.from(JSON.parse(precise(decimalText(unscaled, scale), scale)), 'base64');
          expect(BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`))).toBe(unscaled);
          const shorter = BigInt.asIntN((bytes.length - 1) * 8, unscaled);
          expect(bytes.length === 1 || shorter !== unscaled).toBe(true);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test.each([
    ['1.10', '{"scale":1,"value":"Cw=="}'],
    ['100', '{"scale":0,"value":"ZA=="}'],
    ['0.000', '{"scale":0,"value":"AA=="}'],
    ['10.0001', '{"scale":4,"value":"AYah"}'],
    ['-10.50', '{"scale":1,"value":"lw=="}'],
  ])('variable scale: %s', (text, json) => {
    expect(jsonOf(writeVariableScaleDecimal, text)).toBe(json);
  });

  test('a numeric of 100,000 digits', () => {
    const text = `1${'0'.repeat(100_000)}.${'0'.repeat(16_000)}`;
    const { scale, value } = JSON.parse(jsonOf(writeVariableScaleDecimal, text)) as {
      scale: number;
      value: string;
    };
    expect(scale).toBe(0);
    expect(BigInt(`0x${Buffer.from(value, 'base64').toString('hex')}`) === 10n ** 100_000n).toBe(true);
  });

  test('read exactly', () => {
    const read = (text: string) => readDecimal(Buffer.from(text), 0, text.length);
    expect(read('-12345678901234567890.0100')).toEqual({ unscaled: -123456789012345678900100n, scale: 4 });
    expect(read('NaN')).toBe('NaN');
    expect(read('-Infinity')).toBe('-Infinity');
    for (const text of ['', '1e5', '1,5', '0x1', '--1']) {
      expect(() => read(text)).toThrow(expect.objectContaining({ code: 'E_ENCODING' }));
    }
  });

  test('type modifiers, with the negative scales of version 15', () => {
    expect(numericModifier(-1)).toBeUndefined();
    expect(numericModifier(((3 << 16) | 2) + 4)).toEqual({ precision: 3, scale: 2 });
    expect(numericModifier(((5 << 16) | (-2 & 0x7ff)) + 4)).toEqual({ precision: 5, scale: -2 });
  });

  test.each([
    ['$1,234.11', 123411n],
    ['-$1,234.11', -123411n],
    ['($1,234.11)', -123411n],
    ['1.234,11 €', 123411n],
    ['-$92,233,720,368,547,758.08', -9223372036854775808n],
  ])('money %s', (text, cents) => {
    const bytes = Buffer.from(text);
    expect(readMoney(bytes, 0, bytes.length)).toBe(cents);
  });

  test('plain text of an unscaled value', () => {
    expect(decimalText(-5n, 2)).toBe('-0.05');
    expect(decimalText(12345n, 2)).toBe('123.45');
    expect(decimalText(12n, 0)).toBe('12');
  });
});
