import type { ByteWriter } from '../byte-writer.ts';
import { writeBase64 } from './base64.ts';
import { writeInteger } from './integers.ts';
import { unreadable } from './value-writer.ts';

const ZERO = 0x30;
const NINE = 0x39;
const MINUS = 0x2d;
const POINT = 0x2e;

/** Digits that a double holds exactly with room for the sign. */
const EXACT_DIGITS = 15;

/** A numeric as an exact pair, unscaled * 10 ** -scale; or one of the three special values. */
export type Decimal =
  | { readonly unscaled: bigint; readonly scale: number }
  | 'NaN'
  | 'Infinity'
  | '-Infinity';

/** Declared precision and scale of numeric(p, s); undefined for numeric without them. The scale can be negative. */
export function numericModifier(typmod: number): { precision: number; scale: number } | undefined {
  if (typmod < 4) return undefined;
  // numeric.c: precision in the upper 16 bits, scale as a signed number of 11 bits.
  const scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
  return { precision: ((typmod - 4) >> 16) & 0xffff, scale };
}

/** Reads a numeric's text exactly. Throws UnwritableValue for other text. */
export function readDecimal(bytes: Buffer, start: number, end: number): Decimal {
  const text = bytes.latin1Slice(start, end);
  if (text === 'NaN' || text === 'Infinity' || text === '-Infinity') return text;
  const point = text.indexOf('.');
  const digits = point < 0 ? text : text.slice(0, point) + text.slice(point + 1);
  if (!/^-?\d+$/.test(digits)) throw unreadable('numeric');
  return { unscaled: BigInt(digits), scale: point < 0 ? 0 : text.length - point - 1 };
}

export function isSpecialNumeric(bytes: Buffer, start: number, end: number): boolean {
  const last = bytes[end - 1] as number;
  return end > start && (last < ZERO || last > NINE);
}

/**
 * Kafka Connect's Decimal at a fixed scale: base64 of the unscaled value in big-endian two's complement, as short as it can be.
 * The text of a numeric(p, s) has exactly s decimals, so its digits are the unscaled value; others are brought to the scale.
 */
export function writeDecimal(
  bytes: Buffer,
  start: number,
  end: number,
  scale: number,
  out: ByteWriter,
): void {
  let value = 0;
  let decimals = 0;
  let afterPoint = false;
  const negative = bytes[start] === MINUS;
  for (let i = negative ? start + 1 : start; i < end; i++) {
    const char = bytes[i] as number;
    if (char >= ZERO && char <= NINE) {
      value = value * 10 + (char - ZERO);
      if (afterPoint) decimals++;
    } else if (char === POINT && !afterPoint) afterPoint = true;
    else throw unreadable('numeric');
  }
  if (end - start <= EXACT_DIGITS && decimals === scale) {
    writeUnscaledNumber(negative ? -value : value, out);
    return;
  }
  const decimal = readDecimal(bytes, start, end);
  if (typeof decimal === 'string') throw unreadable('numeric');
  writeUnscaled(rescale(decimal, scale), out);
}

/** `{"scale":1,"value":"Cw=="}`: VariableScaleDecimal, trailing zeros removed, scale not below 0. */
export function writeVariableScaleDecimal(bytes: Buffer, start: number, end: number, out: ByteWriter): void {
  const decimal = readDecimal(bytes, start, withoutTrailingZeros(bytes, start, end));
  if (typeof decimal === 'string') throw unreadable('numeric');
  out.ascii('{"scale":');
  writeInteger(out, decimal.scale);
  out.ascii(',"value":');
  writeUnscaled(decimal.unscaled, out);
  out.ascii('}');
}

/** Where the text ends without zeros at the end of its fraction: 1.10 -> 1.1, 1.00 -> 1, 100 -> 100. */
function withoutTrailingZeros(bytes: Buffer, start: number, end: number): number {
  const point = bytes.subarray(start, end).indexOf(POINT);
  if (point < 0) return end;
  while (bytes[end - 1] === ZERO) end--;
  return bytes[end - 1] === POINT ? end - 1 : end;
}

function rescale(decimal: { unscaled: bigint; scale: number }, scale: number): bigint {
  if (scale >= decimal.scale) return decimal.unscaled * 10n ** BigInt(scale - decimal.scale);
  const divisor = 10n ** BigInt(decimal.scale - scale);
  if (decimal.unscaled % divisor !== 0n) throw unreadable('numeric with its declared scale');
  return decimal.unscaled / divisor;
}

const SCRATCH = Buffer.alloc(8);

function writeUnscaledNumber(value: number, out: ByteWriter): void {
  // Math.floor makes the upper word of a negative number its two's complement.
  const high = Math.floor(value / 0x1_0000_0000);
  const low = value - high * 0x1_0000_0000;
  SCRATCH.writeInt32BE(high, 0);
  SCRATCH.writeUInt32BE(low, 4);
  writeBase64(SCRATCH, firstSignificant(SCRATCH), 8, out);
}

/** Base64 of a bigint in minimal big-endian two's complement: BigInteger.toByteArray(). */
export function writeUnscaled(value: bigint, out: ByteWriter): void {
  // One bit more than the magnitude needs, for the sign.
  const magnitude = value < 0n ? -value : value;
  const byteLength = (magnitude.toString(16).length >> 1) + 1;
  const bits = BigInt.asUintN(byteLength * 8, value)
    .toString(16)
    .padStart(byteLength * 2, '0');
  const bytes = Buffer.from(bits, 'hex');
  writeBase64(bytes, firstSignificant(bytes), bytes.length, out);
}

/** Skips leading bytes that only repeat the sign. */
function firstSignificant(bytes: Buffer): number {
  let at = 0;
  while (at < bytes.length - 1) {
    const byte = bytes[at] as number;
    const nextNegative = (bytes[at + 1] as number) >= 0x80;
    if ((byte === 0 && !nextNegative) || (byte === 0xff && nextNegative)) at++;
    else break;
  }
  return at;
}

/**
 * The 64-bit integer behind a money's text: its digits, whatever the locale's signs and separators.
 * https://www.postgresql.org/docs/current/datatype-money.html
 */
export function readMoney(bytes: Buffer, start: number, end: number): bigint {
  let digits = '';
  let negative = false;
  for (let i = start; i < end; i++) {
    const char = bytes[i] as number;
    if (char >= ZERO && char <= NINE) digits += String.fromCharCode(char);
    // Locales write -$1.00, $-1.00, $1.00- or ($1.00).
    else if (char === MINUS || char === 0x28) negative = true;
  }
  if (digits === '') throw unreadable('money');
  return negative ? -BigInt(digits) : BigInt(digits);
}

/** Plain decimal text of unscaled * 10 ** -scale. */
export function decimalText(unscaled: bigint, scale: number): string {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  const sign = unscaled < 0n ? '-' : '';
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
