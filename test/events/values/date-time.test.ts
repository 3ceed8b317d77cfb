import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../../src/events/byte-writer.ts';
import { DateTimeFields, daysFromCivil } from '../../../src/events/values/date-time.ts';
import { intervalIsoText, intervalMicros, readInterval } from '../../../src/events/values/intervals.ts';
import { writeIsoTimestamp } from '../../../src/events/values/iso-text.ts';

const fields = new DateTimeFields();

function timestamp(text: string): DateTimeFields {
  const bytes = Buffer.from(text);
  fields.timestamp(bytes, 0, bytes.length);
  return fields;
}

function iso(of: DateTimeFields): string {
  const out = new ByteWriter(1);
  writeIsoTimestamp(of, 'shortest', out);
  return out.view().toString('latin1');
}

describe('timestamps', () => {
  test('epoch seconds agree with Date, before and after 1970', () => {
    fc.assert(
      fc.property(
        fc.date({
          min: new Date('0001-01-01T00:00:00Z'),
          max: new Date('9999-12-31T23:59:59Z'),
          noInvalidDate: true,
        }),
        (date) => {
          const read = timestamp(date.toISOString().replace('T', ' ').replace('Z', ''));
          expect(read.epochSeconds * 1000 + read.micros / 1000).toBe(date.getTime());
        },
      ),
    );
  });

  test('days of a date, and back through an offset, over the whole range of PostgreSQL', () => {
    fc.assert(
      fc.property(fc.integer({ min: -59_000_000, max: 2_100_000_000 }), (hours) => {
        // Any wall clock in any zone: moving it to UTC and reading the fields again is the same instant.
        const utc = new DateTimeFields();
        Object.assign(utc, { year: 1970, month: 1, day: 1, secondOfDay: 0, offsetSeconds: 0 - hours * 3600 });
        const instant = utc.epochSeconds;
        utc.toUtc();
        expect(utc.offsetSeconds).toBe(0);
        expect(utc.epochSeconds).toBe(instant);
        expect(utc.month).toBeGreaterThan(0);
        expect(utc.day).toBeGreaterThan(0);
      }),
    );
  });

  test.each([
    ['2016-11-04 13:51:30.123456', 1_478_267_490, 123_456],
    ['1936-10-25 22:10:12.608', -1_047_174_588, 608_000],
    ['4713-12-31 23:59:59.999999 BC', -210_831_897_601, 999_999],
    ['0001-01-01 00:00:00', -62_135_596_800, 0],
    ['0001-12-31 00:00:00 BC', -62_135_683_200, 0],
    ['294276-12-31 23:59:59.999999', 9_224_318_015_999, 999_999],
    ['2016-11-04 13:51:30.123456+02', 1_478_260_290, 123_456],
    ['2016-11-04 13:51:30.5-02:30:15', 1_478_276_505, 500_000],
    ['1883-11-18 12:00:00+00', -2_717_668_800, 0],
  ])('%s', (text, seconds, micros) => {
    const read = timestamp(text);
    expect([read.epochSeconds, read.micros]).toEqual([seconds, micros]);
  });

  test('an offset is taken out across days, months and years', () => {
    const cases = [
      ['21016-11-04 13:51:30.123456+07', '+21016-11-04T06:51:30.123456'],
      ['2000-03-01 00:30:00+01', '2000-02-29T23:30:00'],
      ['1900-03-01 00:30:00+01', '1900-02-28T23:30:00'],
      ['1999-12-31 23:30:00-01', '2000-01-01T00:30:00'],
      ['0001-01-01 00:30:00+01 BC', '-0001-12-31T23:30:00'],
      ['4714-12-31 23:59:59.999999+00 BC', '-4713-12-31T23:59:59.999999'],
    ] as const;
    for (const [text, utc] of cases) {
      const read = timestamp(text);
      read.toUtc();
      expect(iso(read)).toBe(utc);
    }
  });

  test('infinity', () => {
    expect(timestamp('infinity').infinite).toBe(1);
    expect(timestamp('-infinity').infinite).toBe(-1);
    expect(timestamp('2000-01-01 00:00:00').infinite).toBe(0);
  });

  test('another DateStyle is an error, not another date', () => {
    for (const text of [
      '11/04/2016 13:51:30',
      '04.11.2016 13:51:30',
      'Fri Nov 04 13:51:30 2016',
      '2016-11-04',
      '2016-11-04 13:51',
      '2016-11-04 13:51:30 AD',
      'infinitely',
      '',
    ]) {
      expect(() => timestamp(text), text).toThrow(expect.objectContaining({ code: 'E_ENCODING' }));
    }
  });
});

test('daysFromCivil at the edges', () => {
  expect(daysFromCivil(1970, 1, 1)).toBe(0);
  expect(daysFromCivil(2016, 11, 4)).toBe(17_109);
  // Julian day 0 of PostgreSQL's calendar, 4714-11-24 BC, is 2440588 days before 1970.
  expect(daysFromCivil(-4713, 11, 24)).toBe(-2_440_588);
  expect(daysFromCivil(5_874_897, 12, 31)).toBe(2_145_042_905);
});

describe('times', () => {
  test.each([
    ['00:00:00', 0, 0, 0],
    ['24:00:00', 86_400, 0, 0],
    ['13:51:30.123789+02', 49_890, 123_789, 7200],
    ['13:51:30-02:30:01', 49_890, 0, -9001],
  ])('%s', (text, second, micros, offset) => {
    const bytes = Buffer.from(text);
    fields.time(bytes, 0, bytes.length);
    expect([fields.secondOfDay, fields.micros, fields.offsetSeconds]).toEqual([second, micros, offset]);
  });
});

describe('intervals', () => {
  test.each([
    ['1 year 2 mons 3 days 04:05:06.78', 37_091_106_780_000n, 'P1Y2M3DT4H5M6.78S'],
    ['00:00:00', 0n, 'P0Y0M0DT0H0M0S'],
    ['-00:00:01.5', -1_500_000n, 'P0Y0M0DT0H0M-1.5S'],
    ['-1 years -2 mons +3 days -04:05:06.78', -36_572_706_780_000n, 'P-1Y-2M3DT-4H-5M-6.78S'],
    ['1 mon', 2_629_800_000_000n, 'P0Y1M0DT0H0M0S'],
    ['-10 mons', -26_298_000_000_000n, 'P0Y-10M0DT0H0M0S'],
    ['-1 days +02:03:00', -79_020_000_000n, 'P0Y0M-1DT2H3M0S'],
    ['2562047788:00:54.775807', 9_223_372_036_854_775_807n, 'P0Y0M0DT2562047788H0M54.775807S'],
    ['178956970 years 7 mons', 5_647_476_645_390_600_000_000n, 'P178956970Y7M0DT0H0M0S'],
  ])('%s', (text, micros, isoText) => {
    const interval = readInterval(text);
    if (typeof interval === 'string') throw new Error('finite');
    const limit = 9_223_372_036_854_775_807n;
    expect(intervalMicros(interval)).toBe(micros > limit ? limit : micros);
    expect(intervalIsoText(interval)).toBe(isoText);
  });

  test('infinity is clamped to int64', () => {
    expect(intervalMicros(readInterval('infinity'))).toBe(9_223_372_036_854_775_807n);
    expect(intervalMicros(readInterval('-infinity'))).toBe(-9_223_372_036_854_775_808n);
  });

  test('other interval styles are errors', () => {
    for (const text of ['P1Y', '@ 1 year', '1-2', '', '1 year foo', '1 year 04:05']) {
      expect(() => readInterval(text), text).toThrow(expect.objectContaining({ code: 'E_ENCODING' }));
    }
  });
});
