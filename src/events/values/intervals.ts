import { ByteWriter } from '../byte-writer.ts';
import { writeFraction } from './iso-text.ts';
import { unreadable } from './value-writer.ts';

/** What PostgreSQL stores: three numbers that do not convert into each other. */
export type Interval = { readonly months: number; readonly days: number; readonly micros: bigint };

const INT64_MAX = 0x7fff_ffff_ffff_ffffn;
const INT64_MIN = -0x8000_0000_0000_0000n;

const FIELD = /([+-]?\d+) (year|mon|day)s?(?: |$)/y;
const CLOCK = /([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/y;

/**
 * Reads IntervalStyle postgres: `1 year 2 mons -3 days +04:05:06.78`, `infinity`.
 * https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-INTERVAL-OUTPUT
 */
export function readInterval(text: string): Interval | 'infinity' | '-infinity' {
  if (text === 'infinity' || text === '-infinity') return text;
  let months = 0;
  let days = 0;
  let micros = 0n;
  let at = 0;
  FIELD.lastIndex = 0;
  for (let field = FIELD.exec(text); field !== null; field = FIELD.exec(text)) {
    const value = Number(field[1]);
    if (field[2] === 'year') months += value * 12;
    else if (field[2] === 'mon') months += value;
    else days += value;
    at = FIELD.lastIndex;
  }
  if (at < text.length) {
    CLOCK.lastIndex = at;
    const clock = CLOCK.exec(text);
    if (clock === null) throw unreadable('interval');
    const seconds =
      BigInt(clock[2] as string) * 3600n + BigInt(clock[3] as string) * 60n + BigInt(clock[4] as string);
    micros = seconds * 1_000_000n + BigInt((clock[5] ?? '').padEnd(6, '0'));
    if (clock[1] === '-') micros = -micros;
  } else if (at === 0) {
    throw unreadable('interval');
  }
  return { months, days, micros };
}

/** One number of microseconds with a month of 365.25 / 12 days, kept within int64. */
export function intervalMicros(interval: Interval | 'infinity' | '-infinity'): bigint {
  if (interval === 'infinity') return INT64_MAX;
  if (interval === '-infinity') return INT64_MIN;
  const micros =
    BigInt(interval.months) * 2_629_800_000_000n + BigInt(interval.days) * 86_400_000_000n + interval.micros;
  return micros > INT64_MAX ? INT64_MAX : micros < INT64_MIN ? INT64_MIN : micros;
}

/** The parts as people write them; all parts of one kind have the same sign. */
export interface IntervalParts {
  readonly years: number;
  readonly months: number;
  readonly days: number;
  readonly hours: bigint;
  readonly minutes: number;
  /** Whole seconds and microseconds carry the sign of the time part. */
  readonly seconds: number;
  readonly micros: number;
}

export function intervalParts(interval: Interval): IntervalParts {
  const totalSeconds = interval.micros / 1_000_000n;
  return {
    years: Math.trunc(interval.months / 12),
    months: interval.months % 12,
    days: interval.days,
    hours: totalSeconds / 3600n,
    minutes: Number((totalSeconds / 60n) % 60n),
    seconds: Number(totalSeconds % 60n),
    micros: Number(interval.micros % 1_000_000n),
  };
}

/** ISO 8601 with every part named: `P1Y2M3DT4H5M6.78S`, `P0Y0M0DT0H0M-1.5S`. */
export function intervalIsoText(interval: Interval): string {
  const parts = intervalParts(interval);
  const fraction = new ByteWriter(8);
  writeFraction(Math.abs(parts.micros), 'shortest', fraction);
  const sign = parts.seconds < 0 || parts.micros < 0 ? '-' : '';
  const seconds = `${sign}${Math.abs(parts.seconds)}${fraction.view().toString('latin1')}`;
  // `% 12` and the like give -0 for negative multiples; adding 0 mends the sign.
  return `P${parts.years + 0}Y${parts.months + 0}M${parts.days + 0}DT${parts.hours}H${parts.minutes}M${seconds}S`;
}
