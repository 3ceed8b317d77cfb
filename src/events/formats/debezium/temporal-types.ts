import type { ByteWriter } from '../../byte-writer.ts';
import type { ColumnType } from '../../relation.ts';
import { DateTimeFields, fractionDigits, SECONDS_PER_DAY } from '../../values/date-time.ts';
import { writeInteger, writeScaled } from '../../values/integers.ts';
import { intervalIsoText, intervalMicros, readInterval } from '../../values/intervals.ts';
import { writeIsoDate, writeIsoTime, writeIsoTimestamp } from '../../values/iso-text.ts';
import { UnwritableValue, type WriteValue } from '../../values/value-writer.ts';
import type { ConnectSchema } from './connect-schema.ts';
import type { ConnectType } from './connect-type.ts';
import type { DebeziumSettings } from './options.ts';
import { structuredType } from './structured-types.ts';

const QUOTE = 0x22;
const UPPER_Z = 0x5a;

/** What Debezium streams for infinity: unlike any real date or timestamp of the server, but in no order with them. */
const DATE_INFINITY = { 1: '-2147472692', [-1]: '-2147472691' };
const MICROS_INFINITY = { 1: '9223372036825200000', [-1]: '-9223372036832400000' };
const MILLIS_INFINITY = { 1: '9223372036825200', [-1]: '-9223372036832400' };

/** Seconds since 1970 beyond which int64 has no microseconds or nanoseconds. */
const MAX_MICROS_SECONDS = 9_223_372_036_853;
const MAX_NANOS_SECONDS = 9_223_372_035;

export function temporalType(type: ColumnType, settings: DebeziumSettings): ConnectType | undefined {
  const mode = settings.time_precision_mode;
  if (mode === 'structured') return structuredType(type);
  const precision = fractionDigits(type.typmod);
  switch (type.name) {
    case 'date':
      return dateType(mode);
    case 'time':
      return timeType(mode, precision);
    case 'timestamp':
      return timestampType(mode, precision);
    case 'timestamptz':
      return { schema: debezium('string', 'ZonedTimestamp'), write: zonedTimestampWriter(precision) };
    case 'timetz':
      return { schema: debezium('string', 'ZonedTime'), write: zonedTimeWriter() };
    case 'interval':
      return settings.interval_handling_mode === 'string'
        ? { schema: debezium('string', 'Interval'), write: writeIntervalText }
        : { schema: debezium('int64', 'MicroDuration'), write: writeIntervalMicros };
    default:
      return undefined;
  }
}

type Mode = Exclude<DebeziumSettings['time_precision_mode'], 'structured'>;

function debezium(type: 'int32' | 'int64' | 'string', name: string): ConnectSchema {
  return { type, name: `io.debezium.time.${name}`, version: 1 };
}

function connect(type: 'int32' | 'int64', name: string): ConnectSchema {
  return { type, name: `org.apache.kafka.connect.data.${name}`, version: 1 };
}

function dateType(mode: Mode): ConnectType {
  const fields = new DateTimeFields();
  if (mode === 'isostring') {
    return {
      schema: debezium('string', 'IsoDate'),
      write: (bytes, start, end, out) => {
        fields.date(bytes, start, end);
        if (writeInfinite(fields, out)) return;
        out.byte(QUOTE);
        writeIsoDate(fields, out);
        writeZ(out);
      },
    };
  }
  return {
    schema: mode === 'connect' ? connect('int32', 'Date') : debezium('int32', 'Date'),
    write: (bytes, start, end, out) => {
      fields.date(bytes, start, end);
      if (fields.infinite === 0) writeInteger(out, fields.epochDays);
      else out.ascii(DATE_INFINITY[fields.infinite]);
    },
  };
}

function timeType(mode: Mode, precision: number): ConnectType {
  const fields = new DateTimeFields();
  const write =
    (put: (out: ByteWriter) => void): WriteValue =>
    (bytes, start, end, out) => {
      fields.time(bytes, start, end);
      put(out);
    };
  const millis = write((out) => writeScaled(out, fields.secondOfDay, Math.floor(fields.micros / 1000), 3));
  const micros = write((out) => writeScaled(out, fields.secondOfDay, fields.micros, 6));
  switch (mode) {
    case 'isostring':
      return {
        schema: debezium('string', 'IsoTime'),
        write: write((out) => writeZonedTime(fields, out)),
      };
    case 'connect':
      return { schema: connect('int32', 'Time'), write: millis };
    case 'nanoseconds':
      return {
        schema: debezium('int64', 'NanoTime'),
        write: write((out) => writeScaled(out, fields.secondOfDay, fields.micros * 1000, 9)),
      };
    case 'adaptive':
      if (precision <= 3) return { schema: debezium('int32', 'Time'), write: millis };
      return { schema: debezium('int64', 'MicroTime'), write: micros };
    case 'adaptive_time_microseconds':
    case 'microseconds':
      return { schema: debezium('int64', 'MicroTime'), write: micros };
  }
}

function timestampType(mode: Mode, precision: number): ConnectType {
  const fields = new DateTimeFields();
  const millis: WriteValue = (bytes, start, end, out) => {
    fields.timestamp(bytes, start, end);
    if (fields.infinite === 0) writeScaled(out, fields.epochSeconds, Math.floor(fields.micros / 1000), 3);
    else out.ascii(MILLIS_INFINITY[fields.infinite]);
  };
  const micros: WriteValue = (bytes, start, end, out) => {
    fields.timestamp(bytes, start, end);
    if (fields.infinite === 0) {
      writeScaled(out, within(fields.epochSeconds, MAX_MICROS_SECONDS, 'micro'), fields.micros, 6);
    } else out.ascii(MICROS_INFINITY[fields.infinite]);
  };
  switch (mode) {
    case 'isostring':
      return {
        schema: debezium('string', 'IsoTimestamp'),
        write: (bytes, start, end, out) => {
          fields.timestamp(bytes, start, end);
          if (writeInfinite(fields, out)) return;
          out.byte(QUOTE);
          writeIsoTimestamp(fields, 'shortest', out);
          writeZ(out);
        },
      };
    case 'connect':
      return { schema: connect('int64', 'Timestamp'), write: millis };
    case 'nanoseconds':
      return {
        schema: debezium('int64', 'NanoTimestamp'),
        write: (bytes, start, end, out) => {
          fields.timestamp(bytes, start, end);
          const seconds = fields.infinite === 0 ? fields.epochSeconds : Infinity;
          writeScaled(out, within(seconds, MAX_NANOS_SECONDS, 'nano'), fields.micros * 1000, 9);
        },
      };
    case 'adaptive':
    case 'adaptive_time_microseconds':
      if (precision <= 3) return { schema: debezium('int64', 'Timestamp'), write: millis };
      return { schema: debezium('int64', 'MicroTimestamp'), write: micros };
    case 'microseconds':
      return { schema: debezium('int64', 'MicroTimestamp'), write: micros };
  }
}

function within(seconds: number, limit: number, unit: string): number {
  if (Math.abs(seconds) > limit) {
    throw new UnwritableValue(`is a timestamp whose ${unit}seconds since 1970 do not fit 64 bits`, {
      fix: 'Set time_precision_mode: isostring on the mapping.',
    });
  }
  return seconds;
}

function zonedTimestampWriter(precision: number): WriteValue {
  const fields = new DateTimeFields();
  return (bytes, start, end, out) => {
    fields.timestamp(bytes, start, end);
    if (writeInfinite(fields, out)) return;
    fields.toUtc();
    out.byte(QUOTE);
    writeIsoTimestamp(fields, precision, out);
    writeZ(out);
  };
}

/** The infinities as PostgreSQL spells them. */
function writeInfinite(fields: DateTimeFields, out: ByteWriter): boolean {
  if (fields.infinite === 0) return false;
  out.ascii(fields.infinite === 1 ? '"infinity"' : '"-infinity"');
  return true;
}

function writeZ(out: ByteWriter): void {
  out.byte(UPPER_Z);
  out.byte(QUOTE);
}

function zonedTimeWriter(): WriteValue {
  const fields = new DateTimeFields();
  return (bytes, start, end, out) => {
    fields.time(bytes, start, end);
    if (fields.offsetSeconds !== 0) {
      const seconds = fields.secondOfDay - fields.offsetSeconds;
      fields.secondOfDay = ((seconds % SECONDS_PER_DAY) + SECONDS_PER_DAY) % SECONDS_PER_DAY;
    }
    writeZonedTime(fields, out);
  };
}

function writeZonedTime(fields: DateTimeFields, out: ByteWriter): void {
  out.byte(QUOTE);
  writeIsoTime(fields, 'shortest', out);
  writeZ(out);
}

function writeIntervalMicros(bytes: Buffer, start: number, end: number, out: ByteWriter): void {
  out.ascii(intervalMicros(readInterval(bytes.latin1Slice(start, end))).toString());
}

function writeIntervalText(bytes: Buffer, start: number, end: number, out: ByteWriter): void {
  const interval = readInterval(bytes.latin1Slice(start, end));
  const text = typeof interval === 'string' ? interval : intervalIsoText(interval);
  out.byte(QUOTE);
  out.ascii(text);
  out.byte(QUOTE);
}
