import type { ByteWriter } from '../byte-writer.ts';

const ZERO = 0x30;
const MINUS = 0x2d;
const BILLION = 1_000_000_000;

/** A safe integer. */
export function writeInteger(out: ByteWriter, value: number): void {
  const buffer = out.reserve(20);
  if (value < 0) {
    buffer[out.length++] = MINUS;
    value = -value;
  }
  if (value < BILLION) {
    out.length = putSmall(buffer, out.length, value);
    return;
  }
  const high = Math.floor(value / BILLION);
  out.length = putSmall(buffer, out.length, high);
  out.length = putPadded(buffer, out.length, value - high * BILLION, 9);
}

/** `value` below 10 ** `width`, with leading zeros; width at most 9. */
export function writePadded(out: ByteWriter, value: number, width: number): void {
  out.length = putPadded(out.reserve(width), out.length, value, width);
}

/**
 * The integer `whole` * 10 ** `width` + `part`, which may be beyond 2 ** 53: what microseconds since 1970 become for years after 2255.
 * `part` is not negative: -0.5 s is whole -1, part 500000.
 */
export function writeScaled(out: ByteWriter, whole: number, part: number, width: number): void {
  if (whole < 0) {
    out.byte(MINUS);
    // -(w * s + p) = (-w - 1) * s + (s - p) for p > 0.
    whole = part === 0 ? -whole : -whole - 1;
    if (part !== 0) part = 10 ** width - part;
  }
  if (whole === 0) {
    writeInteger(out, part);
    return;
  }
  writeInteger(out, whole);
  writePadded(out, part, width);
}

/** A non-negative integer below 2 ** 53 - 1 or so. */
function putSmall(buffer: Buffer, at: number, value: number): number {
  if (value >= BILLION) {
    const high = Math.floor(value / BILLION);
    return putPadded(buffer, putSmall(buffer, at, high), value - high * BILLION, 9);
  }
  let digits = 1;
  for (let limit = 10; digits < 9 && value >= limit; limit *= 10) digits++;
  return putPadded(buffer, at, value, digits);
}

function putPadded(buffer: Buffer, at: number, value: number, width: number): number {
  let rest = value | 0;
  for (let i = at + width - 1; i >= at; i--) {
    const next = (rest / 10) | 0;
    buffer[i] = ZERO + rest - next * 10;
    rest = next;
  }
  return at + width;
}
