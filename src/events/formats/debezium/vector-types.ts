import type { ColumnType } from '../../relation.ts';
import { writeJavaFloat } from '../../values/floats.ts';
import { UnwritableValue, unreadable, type WriteValue } from '../../values/value-writer.ts';
import type { ConnectSchema } from './connect-schema.ts';
import type { ConnectType } from './connect-type.ts';

const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/** The schema counts dimensions and places in 16 bits. */
const MAX_SPARSE_DIMENSIONS = 32_767;

const SPARSE: ConnectSchema = {
  type: 'struct',
  fields: [
    { field: 'dimensions', schema: { type: 'int16' } },
    { field: 'vector', schema: { type: 'map', keys: { type: 'int16' }, values: { type: 'double' } } },
  ],
  name: 'io.debezium.data.SparseDoubleVector',
  version: 1,
  doc: 'Sparse double vector',
};

/** pgvector's types. https://github.com/pgvector/pgvector#vector-type */
export function vectorType(type: ColumnType): ConnectType | undefined {
  switch (type.name) {
    case 'vector':
      return { schema: dense('double', 'DoubleVector'), write: denseWriter() };
    case 'halfvec':
      return { schema: dense('float', 'FloatVector'), write: denseWriter() };
    case 'sparsevec':
      return { schema: SPARSE, write: writeSparse };
    default:
      return undefined;
  }
}

function dense(items: 'double' | 'float', name: string): ConnectSchema {
  return { type: 'array', items: { type: items }, name: `io.debezium.data.${name}`, version: 1 };
}

/** `[1,2.5,3]`: an array's text in other brackets. */
function denseWriter(): WriteValue {
  return (bytes, start, end, out) => {
    if (bytes[start] !== OPEN_BRACKET || bytes[end - 1] !== CLOSE_BRACKET) throw unreadable('vector');
    out.byte(OPEN_BRACKET);
    let from = start + 1;
    for (let at = from; at < end; at++) {
      if (bytes[at] !== 0x2c && at !== end - 1) continue;
      if (from > start + 1) out.byte(0x2c);
      writeJavaFloat(bytes, from, at, out);
      from = at + 1;
    }
    out.byte(CLOSE_BRACKET);
  };
}

/** `{1:1.5,3:2}/5`. Connect's JSON for a map whose keys are numbers is an array of pairs. */
const writeSparse: WriteValue = (bytes, start, end, out) => {
  const text = bytes.latin1Slice(start, end);
  const slash = text.lastIndexOf('}/');
  const dimensions = Number(text.slice(slash + 2));
  if (slash < 0 || text[0] !== '{' || !Number.isInteger(dimensions)) throw unreadable('sparsevec');
  if (dimensions > MAX_SPARSE_DIMENSIONS) {
    throw new UnwritableValue(`is a sparse vector of more than ${MAX_SPARSE_DIMENSIONS} dimensions`);
  }
  out.ascii(`{"dimensions":${dimensions},"vector":[`);
  const elements = text.slice(1, slash);
  let first = true;
  for (const element of elements === '' ? [] : elements.split(',')) {
    const colon = element.indexOf(':');
    const index = Number(element.slice(0, colon));
    if (colon < 0 || !Number.isInteger(index)) throw unreadable('sparsevec');
    out.ascii(first ? `[${index},` : `,[${index},`);
    const value = Buffer.from(element.slice(colon + 1), 'latin1');
    writeJavaFloat(value, 0, value.length, out);
    out.ascii(']');
    first = false;
  }
  out.ascii(']}');
};
