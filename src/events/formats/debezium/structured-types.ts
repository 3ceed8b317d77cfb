import type { ByteWriter } from '../../byte-writer.ts';
import type { ColumnType } from '../../relation.ts';
import { DateTimeFields, fractionDigits } from '../../values/date-time.ts';
import { intervalParts, readInterval } from '../../values/intervals.ts';
import { UnwritableValue, type WriteValue } from '../../values/value-writer.ts';
import type { ConnectSchema } from './connect-schema.ts';
import type { ConnectType } from './connect-type.ts';

/** Members of Debezium's structured temporal types and what they hold; all are optional. */
const MEMBERS = {
  year: 'int32',
  month: 'int8',
  day: 'int8',
  hour: 'int8',
  minute: 'int8',
  second: 'int8',
  years: 'int32',
  months: 'int32',
  days: 'int32',
  hours: 'int32',
  minutes: 'int32',
  seconds: 'int64',
  nanos: 'int32',
  offsetSeconds: 'int32',
  zoneId: 'string',
  specialValue: 'string',
  precision: 'int32',
} as const;

type Member = keyof typeof MEMBERS;

const DATE: readonly Member[] = ['year', 'month', 'day'];
const DURATION: readonly Member[] = [
  'years',
  'months',
  'days',
  'hours',
  'minutes',
  'seconds',
  'nanos',
  'precision',
];
const TIME: readonly Member[] = ['hour', 'minute', 'second', 'nanos'];

function struct(name: string, members: readonly Member[]): ConnectSchema {
  return {
    type: 'struct',
    fields: members.map((field) => ({ field, schema: { type: MEMBERS[field], optional: true } })),
    name: `io.debezium.time.${name}`,
    version: 1,
  };
}

/** time_precision_mode: structured. Calendar fields as the server has them, nothing converted. */
export function structuredType(type: ColumnType): ConnectType | undefined {
  const precision = fractionDigits(type.typmod);
  const fields = new DateTimeFields();
  const value = (name: string, members: readonly Member[], read: Read, extra?: Extra): ConnectType => ({
    schema: struct(name, members),
    write: structWriter(fields, members, read, { precision, ...extra }),
  });
  switch (type.name) {
    case 'date':
      return value('StructuredDate', [...DATE, 'specialValue'], (...text) => fields.date(...text));
    case 'time':
      return value('StructuredTime', [...TIME, 'precision'], (...text) => fields.time(...text));
    case 'timetz':
      return value('StructuredZonedTime', [...TIME, 'offsetSeconds', 'precision'], (...text) =>
        fields.time(...text),
      );
    case 'timestamp':
      return value('StructuredTimestamp', [...DATE, ...TIME, 'specialValue', 'precision'], (...text) =>
        fields.timestamp(...text),
      );
    case 'timestamptz':
      return value(
        'StructuredZonedTimestamp',
        [...DATE, ...TIME, 'offsetSeconds', 'zoneId', 'specialValue', 'precision'],
        (...text) => {
          fields.timestamp(...text);
          if (fields.infinite === 0) fields.toUtc();
        },
        { zoneId: 'Z' },
      );
    case 'interval':
      return {
        schema: struct('StructuredDuration', DURATION),
        write: durationWriter(precision),
      };
    default:
      return undefined;
  }
}

type Read = (bytes: Buffer, start: number, end: number) => void;
type Extra = { readonly precision?: number; readonly zoneId?: string };

function structWriter(
  fields: DateTimeFields,
  members: readonly Member[],
  read: Read,
  extra: Extra,
): WriteValue {
  return (bytes, start, end, out) => {
    read(bytes, start, end);
    const minutes = Math.floor(fields.secondOfDay / 60);
    const values: Partial<Record<Member, number | string | undefined>> =
      fields.infinite === 0
        ? {
            year: fields.year,
            month: fields.month,
            day: fields.day,
            hour: Math.floor(minutes / 60),
            minute: minutes % 60,
            second: fields.secondOfDay % 60,
            nanos: fields.micros * 1000,
            offsetSeconds: fields.offsetSeconds,
            ...extra,
          }
        : {
            specialValue: fields.infinite === 1 ? 'POSITIVE_INFINITY' : 'NEGATIVE_INFINITY',
            precision: extra.precision,
          };
    writeMembers(members, values, out);
  };
}

function durationWriter(precision: number): WriteValue {
  return (bytes, start, end, out) => {
    const interval = readInterval(bytes.latin1Slice(start, end));
    if (typeof interval === 'string') {
      throw new UnwritableValue('is an infinite interval, which a StructuredDuration has no form for');
    }
    const { years, months, days, hours, minutes, seconds, micros } = intervalParts(interval);
    const nanos = micros * 1000;
    writeMembers(
      DURATION,
      { years, months, days, hours: Number(hours), minutes, seconds, nanos, precision },
      out,
    );
  };
}

function writeMembers(
  members: readonly Member[],
  values: Partial<Record<Member, number | string | undefined>>,
  out: ByteWriter,
): void {
  // JSON.stringify writes -0 as 0.
  out.ascii(JSON.stringify(Object.fromEntries(members.map((member) => [member, values[member] ?? null]))));
}
