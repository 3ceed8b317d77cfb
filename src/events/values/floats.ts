import type { ByteWriter } from '../byte-writer.ts';
import { writeQuoted, writeVerbatim } from './json-string.ts';
import { unreadable } from './value-writer.ts';

const ZERO = 0x30;
const NINE = 0x39;
const MINUS = 0x2d;
const POINT = 0x2e;
const LOWER_E = 0x65;
const UPPER_E = 0x45;

/** PostgreSQL's shortest round-trip spelling is a JSON number; NaN, Infinity and -Infinity become strings. */
export function writeFloat(bytes: Buffer, start: number, end: number, out: ByteWriter): void {
  if (isFinite(bytes, start, end)) writeVerbatim(bytes, start, end, out);
  else writeQuoted(bytes, start, end, out);
}

function isFinite(bytes: Buffer, start: number, end: number): boolean {
  const first = bytes[bytes[start] === MINUS && start + 1 < end ? start + 1 : start] as number;
  return first >= ZERO && first <= NINE;
}

/**
 * The same digits as Java's Double.toString and Float.toString lay them out: `1.0`, `1.0E10`, `-0.0`, `0.001`, `1.0E-4`.
 * https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/lang/Double.html#toString(double)
 */
export function writeJavaFloat(bytes: Buffer, start: number, end: number, out: ByteWriter): void {
  if (!isFinite(bytes, start, end)) {
    writeQuoted(bytes, start, end, out);
    return;
  }
  let i = start;
  const negative = bytes[i] === MINUS;
  if (negative) i++;

  // Significant digits go to scratch; the value is 0.d1d2d3... * 10 ** exponent.
  const digits = end - i <= SCRATCH.length ? SCRATCH : new Uint8Array(end - i);
  let count = 0;
  let exponent = 0;
  let afterPoint = false;
  for (; i < end; i++) {
    const char = bytes[i] as number;
    if (char >= ZERO && char <= NINE) {
      if (count > 0 || char !== ZERO) {
        digits[count++] = char;
        if (!afterPoint) exponent++;
      } else if (afterPoint) exponent--;
    } else if (char === POINT) afterPoint = true;
    else if (char === LOWER_E) {
      exponent += readExponent(bytes, i + 1, end);
      break;
    } else throw unreadable('float');
  }
  while (count > 0 && digits[count - 1] === ZERO) count--;

  if (negative) out.byte(MINUS);
  if (count === 0) {
    out.ascii('0.0');
    return;
  }
  if (exponent > -3 && exponent <= 7) writePlain(digits, count, exponent, out);
  else writeScientific(digits, count, exponent, out);
}

const SCRATCH = new Uint8Array(64);

function writePlain(digits: Uint8Array, count: number, exponent: number, out: ByteWriter): void {
  const buffer = out.reserve(count + 12);
  let at = out.length;
  if (exponent <= 0) buffer[at++] = ZERO;
  for (let k = 0; k < exponent; k++) buffer[at++] = k < count ? (digits[k] as number) : ZERO;
  buffer[at++] = POINT;
  for (let k = exponent; k < 0; k++) buffer[at++] = ZERO;
  if (exponent >= count) buffer[at++] = ZERO;
  for (let k = Math.max(exponent, 0); k < count; k++) buffer[at++] = digits[k] as number;
  out.length = at;
}

function writeScientific(digits: Uint8Array, count: number, exponent: number, out: ByteWriter): void {
  const buffer = out.reserve(count + 12);
  let at = out.length;
  buffer[at++] = digits[0] as number;
  buffer[at++] = POINT;
  if (count === 1) buffer[at++] = ZERO;
  for (let k = 1; k < count; k++) buffer[at++] = digits[k] as number;
  buffer[at++] = UPPER_E;
  out.length = at;
  out.ascii(String(exponent - 1));
}

function readExponent(bytes: Buffer, start: number, end: number): number {
  const exponent = Number(bytes.latin1Slice(start, end));
  if (start >= end || !Number.isInteger(exponent)) throw unreadable('float');
  return exponent;
}

/** A double (text in Java's layout, or a string for what is not finite), for values that did not come as float text. */
export function writeJavaDouble(value: number, out: ByteWriter): void {
  // JavaScript drops the sign of -0.
  const text = Buffer.from(Object.is(value, -0) ? '-0' : String(value), 'latin1');
  writeJavaFloat(text, 0, text.length, out);
}
