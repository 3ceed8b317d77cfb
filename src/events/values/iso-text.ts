import type { ByteWriter } from '../byte-writer.ts';
import type { DateTimeFields } from './date-time.ts';
import { writeInteger, writePadded } from './integers.ts';

const ZERO = 0x30;
const PLUS = 0x2b;
const MINUS = 0x2d;
const POINT = 0x2e;
const COLON = 0x3a;

/** Fraction digits: a number of them, or `shortest` for as many as are needed (none for whole seconds). */
export type Fraction = number | 'shortest';

/** ISO 8601 date: years beyond 9999 with a sign, before year 1 astronomical (`-4712-01-01` is 4713 BC). */
export function writeIsoDate(fields: DateTimeFields, out: ByteWriter): void {
  const { year } = fields;
  if (year < 0) out.byte(MINUS);
  else if (year > 9999) out.byte(PLUS);
  if (year > 9999 || year < -9999) writeInteger(out, Math.abs(year));
  else writePadded(out, Math.abs(year), 4);
  const buffer = out.reserve(6);
  const at = out.length;
  buffer[at] = MINUS;
  putTwoDigits(buffer, at + 1, fields.month);
  buffer[at + 3] = MINUS;
  putTwoDigits(buffer, at + 4, fields.day);
  out.length = at + 6;
}

/** ISO 8601 time of day; 24:00:00 stays that. */
export function writeIsoTime(fields: DateTimeFields, fraction: Fraction, out: ByteWriter): void {
  const second = fields.secondOfDay;
  const minutes = (second / 60) | 0;
  const hours = (minutes / 60) | 0;
  const buffer = out.reserve(8);
  const at = out.length;
  putTwoDigits(buffer, at, hours);
  buffer[at + 2] = COLON;
  putTwoDigits(buffer, at + 3, minutes - hours * 60);
  buffer[at + 5] = COLON;
  putTwoDigits(buffer, at + 6, second - minutes * 60);
  out.length = at + 8;
  writeFraction(fields.micros, fraction, out);
}

function putTwoDigits(buffer: Buffer, at: number, value: number): void {
  const tens = (value / 10) | 0;
  buffer[at] = ZERO + tens;
  buffer[at + 1] = ZERO + value - tens * 10;
}

export function writeFraction(micros: number, fraction: Fraction, out: ByteWriter): void {
  let digits = fraction === 'shortest' ? 6 : fraction;
  let value = micros;
  if (fraction === 'shortest') {
    if (micros === 0) return;
    while (value % 10 === 0) {
      value /= 10;
      digits--;
    }
  } else {
    if (digits === 0) return;
    if (digits < 6) value = Math.floor(micros / 10 ** (6 - digits));
  }
  out.byte(POINT);
  writePadded(out, value, digits);
}

/** `2016-11-04T13:51:30.123456`, without zone. */
export function writeIsoTimestamp(fields: DateTimeFields, fraction: Fraction, out: ByteWriter): void {
  writeIsoDate(fields, out);
  out.byte(0x54); // T
  writeIsoTime(fields, fraction, out);
}
