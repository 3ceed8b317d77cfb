import { ByteWriter } from '../../byte-writer.ts';
import type { ColumnType } from '../../relation.ts';
import { arrayWriter } from '../../values/arrays.ts';
import { writeBase64 } from '../../values/base64.ts';
import { DecodedBytes } from '../../values/binary.ts';
import { writeJavaFloat } from '../../values/floats.ts';
import { hstoreWriter } from '../../values/hstore.ts';
import {
  jacksonBytes,
  writeJacksonString,
  writeJsonString,
  writeQuoted,
  writeVerbatim,
} from '../../values/json-string.ts';
import { UnwritableValue, type WriteValue } from '../../values/value-writer.ts';
import { type ConnectSchema, optional } from './connect-schema.ts';
import type { ConnectType } from './connect-type.ts';
import { geometricType } from './geometric-types.ts';
import { numericType } from './numeric-types.ts';
import type { DebeziumSettings } from './options.ts';
import { temporalType } from './temporal-types.ts';
import { vectorType } from './vector-types.ts';

const ONE = 0x31;

const STRING: ConnectType = { schema: { type: 'string' }, write: writeJacksonString };

/** Types of one fixed form. Extension types are known by name: they live in whatever schema they were created in. */
const FIXED: ReadonlyMap<string, ConnectType> = new Map<string, ConnectType>([
  ['bool', { schema: { type: 'boolean' }, write: writeBoolean }],
  ['int2', { schema: { type: 'int16' }, write: writeVerbatim }],
  ['int4', { schema: { type: 'int32' }, write: writeVerbatim }],
  ['int8', { schema: { type: 'int64' }, write: writeVerbatim }],
  ['oid', { schema: { type: 'int64' }, write: writeVerbatim }],
  ['float4', { schema: { type: 'float' }, write: writeJavaFloat }],
  ['float8', { schema: { type: 'double' }, write: writeJavaFloat }],
  ['uuid', { schema: named('string', 'Uuid'), write: writeQuoted }],
  ['json', { schema: named('string', 'Json'), write: writeJacksonString }],
  ['jsonb', { schema: named('string', 'Json'), write: writeJacksonString }],
  ['xml', { schema: named('string', 'Xml'), write: writeJacksonString }],
  ['ltree', { schema: named('string', 'Ltree'), write: writeJacksonString }],
  ['tsvector', { schema: named('string', 'Tsvector'), write: writeJacksonString }],
]);

/**
 * Schema and encoding of a column type under Debezium's rules. A type that Debezium does not know, and drops with a warning, is a
 * string holding the server's text.
 */
export function connectType(type: ColumnType, settings: DebeziumSettings): ConnectType {
  switch (type.kind) {
    case 'domain':
      return type.base === undefined ? STRING : connectType(type.base, settings);
    case 'array':
      return type.element === undefined ? STRING : arrayType(type, type.element, settings);
    case 'enum':
      return { schema: enumSchema(type.labels ?? []), write: writeJacksonString };
    case 'base':
      return baseType(type, settings);
    case 'composite':
    case 'range':
    case 'multirange':
    case 'pseudo':
    case 'unknown':
      return STRING;
  }
}

function named(type: 'string', name: string): ConnectSchema {
  return { type, name: `io.debezium.data.${name}`, version: 1 };
}

function enumSchema(labels: readonly string[]): ConnectSchema {
  return { ...named('string', 'Enum'), parameters: { allowed: labels.join(',') } };
}

function baseType(type: ColumnType, settings: DebeziumSettings): ConnectType {
  const fixed = FIXED.get(type.name);
  if (fixed !== undefined) return fixed;
  switch (type.name) {
    case 'bit':
    case 'varbit':
      return bitType(type);
    case 'bytea':
      return byteaType(settings);
    case 'hstore':
      return hstoreType(settings);
    default:
      return (
        numericType(type, settings) ??
        temporalType(type, settings) ??
        geometricType(type) ??
        vectorType(type) ??
        STRING
      );
  }
}

function arrayType(type: ColumnType, element: ColumnType, settings: DebeziumSettings): ConnectType {
  const { schema, write } = connectType(element, settings);
  return {
    schema: { type: 'array', items: optional(schema) },
    write: arrayWriter({
      element: write,
      delimiter: type.delimiter ?? ',',
      nested: !settings.schemas_enable,
    }),
  };
}

function writeBoolean(bytes: Buffer, start: number, _end: number, out: ByteWriter): void {
  out.ascii(bytes[start] === 0x74 ? 'true' : 'false');
}

function bitType(type: ColumnType): ConnectType {
  if (type.typmod === 1) {
    return {
      schema: { type: 'boolean' },
      write: (bytes, start, end, out) => {
        if (start === end)
          throw new UnwritableValue('is an empty bit string, which a boolean has no form for');
        out.ascii(bytes[start] === ONE ? 'true' : 'false');
      },
    };
  }
  const length = type.typmod < 0 ? 2_147_483_647 : type.typmod;
  const decoded = new DecodedBytes();
  return {
    schema: {
      type: 'bytes',
      name: 'io.debezium.data.Bits',
      version: 1,
      parameters: { length: String(length) },
    },
    write: (bytes, start, end, out) => {
      decoded.fromBits(bytes, start, end);
      writeBase64(decoded.bytes, 0, decoded.length, out);
    },
  };
}

function byteaType(settings: DebeziumSettings): ConnectType {
  const mode = settings.binary_handling_mode;
  if (mode === 'hex') {
    return {
      schema: { type: 'string' },
      // The server's own form without the \x.
      write: (bytes, start, end, out) => writeQuoted(bytes, start + 2, end, out),
    };
  }
  const decoded = new DecodedBytes();
  const urlSafe = mode === 'base64-url-safe';
  return {
    schema: { type: mode === 'bytes' ? 'bytes' : 'string' },
    write: (bytes, start, end, out) => {
      decoded.fromBytea(bytes, start, end);
      writeBase64(decoded.bytes, 0, decoded.length, out, urlSafe);
    },
  };
}

function hstoreType(settings: DebeziumSettings): ConnectType {
  const placeholder = settings.unavailable_value_placeholder;
  if (settings.hstore_handling_mode === 'map') {
    return {
      schema: { type: 'map', keys: { type: 'string' }, values: { type: 'string', optional: true } },
      write: hstoreWriter(writeJacksonString),
      unavailable: jacksonBytes({ [placeholder]: placeholder }),
    };
  }
  return {
    schema: named('string', 'Json'),
    write: inString(hstoreWriter(writeJsonString)),
    unavailable: jacksonBytes(JSON.stringify({ [placeholder]: placeholder })),
  };
}

/** JSON as the content of a JSON string. */
function inString(write: WriteValue): WriteValue {
  const scratch = new ByteWriter(256);
  return (bytes, start, end, out) => {
    scratch.reset();
    write(bytes, start, end, scratch);
    writeJacksonString(scratch.buffer, 0, scratch.length, out);
  };
}
