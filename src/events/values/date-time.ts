import { unreadable } from './value-writer.ts';

const ZERO = 0x30;
const PLUS = 0x2b;
const MINUS = 0x2d;
const POINT = 0x2e;
const COLON = 0x3a;
const SPACE = 0x20;
const LOWER_I = 0x69;

export const SECONDS_PER_DAY = 86_400;
export const MICROS_PER_SECOND = 1_000_000;

/** What is outside the calendar: `infinity`, `-infinity`. */
export type Infinite = 0 | 1 | -1;

/**
 * The fields of a date, time, timestamp, timestamptz or timetz in DateStyle ISO, exactly. Reused: one object reads value after value.
 * https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-DATETIME-OUTPUT
 */
export class DateTimeFields {
  infinite: Infinite = 0;
  /** Astronomical: 1 BC is 0, 4713 BC is -4712. */
  year = 1970;
  month = 1;
  day = 1;
  /** 0 to 86400: 24:00:00 is a time of its own. */
  secondOfDay = 0;
  micros = 0;
  /** East of Greenwich; PostgreSQL keeps seconds. */
  offsetSeconds = 0;

  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;
  #type = '';

  date(bytes: Buffer, start: number, end: number): void {
    this.#begin(bytes, start, end, 'date');
    if (this.#readInfinite()) return;
    this.#readDate();
    this.#readEra();
  }

  timestamp(bytes: Buffer, start: number, end: number): void {
    this.#begin(bytes, start, end, 'timestamp');
    if (this.#readUsual(bytes, start, end) || this.#readInfinite()) return;
    this.#readDate();
    this.#expect(SPACE);
    this.#readTime();
    this.#readOffset();
    this.#readEra();
  }

  time(bytes: Buffer, start: number, end: number): void {
    this.#begin(bytes, start, end, 'time');
    this.#readTime();
    this.#readOffset();
    if (this.#at !== this.#end) throw unreadable(this.#type);
  }

  /** Days since 1970-01-01 in the proleptic Gregorian calendar. */
  get epochDays(): number {
    return daysFromCivil(this.year, this.month, this.day);
  }

  /** Seconds since 1970-01-01T00:00:00Z, `micros` not included; the wall clock for a timestamp without zone. */
  get epochSeconds(): number {
    return this.epochDays * SECONDS_PER_DAY + this.secondOfDay - this.offsetSeconds;
  }

  /** Moves the fields to UTC, so that the offset is 0. The source pins TimeZone to UTC: a timestamptz never needs it. */
  toUtc(): void {
    if (this.offsetSeconds === 0) return;
    const seconds = this.epochSeconds;
    const days = Math.floor(seconds / SECONDS_PER_DAY);
    this.secondOfDay = seconds - days * SECONDS_PER_DAY;
    this.offsetSeconds = 0;
    this.#setDate(days);
  }

  #begin(bytes: Buffer, start: number, end: number, type: string): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#type = type;
    this.infinite = 0;
    this.secondOfDay = 0;
    this.micros = 0;
    this.offsetSeconds = 0;
  }

  /** `2016-11-04 13:51:30[.123456][+00]`: what nearly every timestamp looks like, read without a step per character. */
  #readUsual(bytes: Buffer, start: number, end: number): boolean {
    if (
      end - start < 19 ||
      bytes[start + 4] !== MINUS ||
      bytes[start + 7] !== MINUS ||
      bytes[start + 10] !== SPACE ||
      bytes[start + 13] !== COLON ||
      bytes[start + 16] !== COLON
    ) {
      return false;
    }
    const century = twoDigits(bytes, start);
    const yearOfCentury = twoDigits(bytes, start + 2);
    const month = twoDigits(bytes, start + 5);
    const day = twoDigits(bytes, start + 8);
    const hour = twoDigits(bytes, start + 11);
    const minute = twoDigits(bytes, start + 14);
    const second = twoDigits(bytes, start + 17);
    // A character that is no digit makes its pair negative.
    if ((century | yearOfCentury | month | day | hour | minute | second) < 0) return false;
    let at = start + 19;
    let micros = 0;
    if (at < end && bytes[at] === POINT) {
      let unit = MICROS_PER_SECOND / 10;
      for (at++; at < end && unit >= 1 && isDigit(bytes[at] as number); at++) {
        micros += ((bytes[at] as number) - ZERO) * unit;
        unit /= 10;
      }
    }
    const atUtc = end - at === 3 && bytes[at] === PLUS && bytes[at + 1] === ZERO && bytes[at + 2] === ZERO;
    if (at !== end && !atUtc) return false;
    this.year = century * 100 + yearOfCentury;
    this.month = month;
    this.day = day;
    this.secondOfDay = hour * 3600 + minute * 60 + second;
    this.micros = micros;
    return true;
  }

  #readInfinite(): boolean {
    const negative = this.#bytes[this.#at] === MINUS;
    const first = negative ? this.#at + 1 : this.#at;
    if (first >= this.#end || this.#bytes[first] !== LOWER_I) return false;
    if (this.#bytes.latin1Slice(first, this.#end) !== 'infinity') throw unreadable(this.#type);
    this.infinite = negative ? -1 : 1;
    return true;
  }

  #readDate(): void {
    const start = this.#at;
    let year = 0;
    while (this.#at < this.#end && this.#at - start < 8 && this.#bytes[this.#at] !== MINUS) {
      year = year * 10 + this.#digit();
    }
    if (this.#at - start < 4) throw unreadable(this.#type);
    this.year = year;
    this.#expect(MINUS);
    this.month = this.#twoDigits();
    this.#expect(MINUS);
    this.day = this.#twoDigits();
  }

  #readTime(): void {
    const hour = this.#twoDigits();
    this.#expect(COLON);
    const minute = this.#twoDigits();
    this.#expect(COLON);
    this.secondOfDay = hour * 3600 + minute * 60 + this.#twoDigits();
    if (this.#at < this.#end && this.#bytes[this.#at] === POINT) {
      this.#at++;
      let micros = 0;
      let unit = MICROS_PER_SECOND;
      while (this.#at < this.#end && unit > 1 && isDigit(this.#bytes[this.#at] as number)) {
        unit /= 10;
        micros += this.#digit() * unit;
      }
      this.micros = micros;
    }
  }

  #readOffset(): void {
    if (this.#at >= this.#end) return;
    const sign = this.#bytes[this.#at];
    if (sign !== PLUS && sign !== MINUS) return;
    this.#at++;
    let seconds = this.#twoDigits() * 3600;
    for (const unit of [60, 1]) {
      if (this.#at >= this.#end || this.#bytes[this.#at] !== COLON) break;
      this.#at++;
      seconds += this.#twoDigits() * unit;
    }
    this.offsetSeconds = sign === MINUS ? -seconds : seconds;
  }

  #readEra(): void {
    if (this.#at === this.#end) return;
    if (this.#bytes.latin1Slice(this.#at, this.#end) !== ' BC') throw unreadable(this.#type);
    this.year = 1 - this.year;
  }

  #expect(char: number): void {
    if (this.#at >= this.#end || this.#bytes[this.#at] !== char) throw unreadable(this.#type);
    this.#at++;
  }

  #twoDigits(): number {
    const tens = this.#digit();
    return tens * 10 + this.#digit();
  }

  #digit(): number {
    const char = this.#at < this.#end ? (this.#bytes[this.#at++] as number) : 0;
    if (!isDigit(char)) throw unreadable(this.#type);
    return char - ZERO;
  }

  #setDate(epochDays: number): void {
    // The inverse of daysFromCivil, over eras of 400 years that begin on 1 March.
    const shifted = epochDays + 719_468;
    const era = Math.floor(shifted / 146_097);
    const dayOfEra = shifted - era * 146_097;
    const yearOfEra = Math.floor(
      (dayOfEra -
        Math.floor(dayOfEra / 1460) +
        Math.floor(dayOfEra / 36_524) -
        Math.floor(dayOfEra / 146_096)) /
        365,
    );
    const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
    const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
    this.day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
    this.month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
    this.year = yearOfEra + era * 400 + (this.month <= 2 ? 1 : 0);
  }
}

/** Days since 1970-01-01 of a proleptic Gregorian date with astronomical year. */
export function daysFromCivil(year: number, month: number, day: number): number {
  const shiftedYear = month <= 2 ? year - 1 : year;
  const era = Math.floor(shiftedYear / 400);
  const yearOfEra = shiftedYear - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** Digits after the point that a time, timestamp or timetz of this type modifier keeps: 0 to 6. */
export function fractionDigits(typmod: number): number {
  return typmod < 0 ? 6 : typmod;
}

function twoDigits(bytes: Buffer, at: number): number {
  const tens = (bytes[at] as number) - ZERO;
  const ones = (bytes[at + 1] as number) - ZERO;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1;
}

function isDigit(char: number): boolean {
  return char >= ZERO && char <= 0x39;
}
