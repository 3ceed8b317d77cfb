import type { ByteWriter } from '../../byte-writer.ts';
import type { ColumnType } from '../../relation.ts';
import { arrayWriter } from '../../values/arrays.ts';
import { writeBase64 } from '../../values/base64.ts';
import { DecodedBytes } from '../../values/binary.ts';
import { DateTimeFields, fractionDigits } from '../../values/date-time.ts';
import { writeFloat } from '../../values/floats.ts';
import { hstoreWriter } from '../../values/hstore.ts';
import { writeIsoDate, writeIsoTimestamp } from '../../values/iso-text.ts';
import { writeJsonString, writeJsonVerbatim, writeQuoted, writeVerbatim } from '../../values/json-string.ts';
import type { WriteValue } from '../../values/value-writer.ts';

const QUOTE = 0x22;
const UPPER_Z = 0x5a;

const FIXED: ReadonlyMap<string, WriteValue> = new Map<string, WriteValue>([
  ['bool', writeBoolean],
  ['int2', writeVerbatim],
  ['int4', writeVerbatim],
  ['int8', writeVerbatim],
  ['oid', writeVerbatim],
  ['float4', writeFloat],
  ['float8', writeFloat],
  // As text: a JSON number would pass through a double at most readers.
  ['numeric', writeQuoted],
  ['uuid', writeQuoted],
  ['time', writeQuoted],
  ['timetz', writeQuoted],
  ['interval', writeQuoted],
  ['json', writeJsonVerbatim],
  ['jsonb', writeJsonVerbatim],
  // pgvector prints what JSON calls an array of numbers.
  ['vector', writeVerbatim],
  ['halfvec', writeVerbatim],
]);

/** How a column type appears in plain rows and in documents. What is not listed is the server's text in a string. */
export function plainWriter(type: ColumnType): WriteValue {
  switch (type.kind) {
    case 'domain':
      return type.base === undefined ? writeJsonString : plainWriter(type.base);
    case 'array':
      if (type.element === undefined) return writeJsonString;
      return arrayWriter({
        element: plainWriter(type.element),
        delimiter: type.delimiter ?? ',',
        nested: true,
      });
    case 'base':
      return baseWriter(type);
    case 'enum':
    case 'composite':
    case 'range':
    case 'multirange':
    case 'pseudo':
    case 'unknown':
      return writeJsonString;
  }
}

function baseWriter(type: ColumnType): WriteValue {
  switch (type.name) {
    case 'bytea':
      return byteaWriter();
    case 'hstore':
      return hstoreWriter(writeJsonString);
    case 'date':
      return dateWriter();
    case 'timestamp':
      return timestampWriter(type, false);
    case 'timestamptz':
      return timestampWriter(type, true);
    default:
      return FIXED.get(type.name) ?? writeJsonString;
  }
}

function writeBoolean(bytes: Buffer, start: number, _end: number, out: ByteWriter): void {
  out.ascii(bytes[start] === 0x74 ? 'true' : 'false');
}

function byteaWriter(): WriteValue {
  const decoded = new DecodedBytes();
  return (bytes, start, end, out) => {
    decoded.fromBytea(bytes, start, end);
    writeBase64(decoded.bytes, 0, decoded.length, out);
  };
}

function dateWriter(): WriteValue {
  const fields = new DateTimeFields();
  return (bytes, start, end, out) => {
    fields.date(bytes, start, end);
    if (fields.infinite !== 0) {
      writeQuoted(bytes, start, end, out);
      return;
    }
    out.byte(QUOTE);
    writeIsoDate(fields, out);
    out.byte(QUOTE);
  };
}

function timestampWriter(type: ColumnType, zoned: boolean): WriteValue {
  const fields = new DateTimeFields();
  const fraction = fractionDigits(type.typmod);
  return (bytes, start, end, out) => {
    fields.timestamp(bytes, start, end);
    if (fields.infinite !== 0) {
      writeQuoted(bytes, start, end, out);
      return;
    }
    fields.toUtc();
    out.byte(QUOTE);
    writeIsoTimestamp(fields, fraction, out);
    if (zoned) out.byte(UPPER_Z);
    out.byte(QUOTE);
  };
}
