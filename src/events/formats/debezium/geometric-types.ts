import type { ByteWriter } from '../../byte-writer.ts';
import type { ColumnType } from '../../relation.ts';
import { writeBase64 } from '../../values/base64.ts';
import { DecodedBytes } from '../../values/binary.ts';
import { writeJavaFloat } from '../../values/floats.ts';
import {
  type Coordinates,
  coordinates,
  ewkbSrid,
  geometricNumbers,
  wkbLineString,
  wkbPoint,
  wkbPolygon,
} from '../../values/geometry.ts';
import { unreadable, type WriteValue } from '../../values/value-writer.ts';
import type { ConnectField, ConnectSchema } from './connect-schema.ts';
import type { ConnectType } from './connect-type.ts';

const OPEN_BRACKET = 0x5b;

const DOUBLE: ConnectSchema = { type: 'double' };
const SRID: ConnectField = { field: 'srid', schema: { type: 'int32', optional: true } };

const POINT: ConnectSchema = {
  type: 'struct',
  fields: [
    { field: 'x', schema: DOUBLE },
    { field: 'y', schema: DOUBLE },
    { field: 'wkb', schema: { type: 'bytes', optional: true } },
    SRID,
  ],
  name: 'io.debezium.data.geometry.Point',
  version: 1,
  doc: 'Geometry (POINT)',
};

const WKB: ConnectField = { field: 'wkb', schema: { type: 'bytes' } };

/** Debezium 3.7's form for the built-in shapes, which 3.6 drops. */
const SHAPE: ConnectSchema = {
  type: 'struct',
  fields: [
    WKB,
    SRID,
    {
      field: 'extensions',
      schema: { type: 'map', keys: { type: 'string' }, values: { type: 'string' }, optional: true },
    },
  ],
  name: 'io.debezium.data.geometry.Geometry',
  version: 2,
  doc: 'Geometry',
};

const POSTGIS_GEOMETRY: ConnectSchema = {
  type: 'struct',
  fields: [WKB, SRID],
  name: 'io.debezium.data.geometry.Geometry',
  version: 1,
  doc: 'Geometry',
};

const POSTGIS_GEOGRAPHY: ConnectSchema = {
  type: 'struct',
  fields: [WKB, SRID],
  name: 'io.debezium.data.geometry.Geography',
  version: 1,
  doc: 'Geography',
};

const LINE: ConnectSchema = {
  type: 'struct',
  fields: ['a', 'b', 'c'].map((field) => ({ field, schema: DOUBLE })),
  name: 'io.debezium.data.geometry.Line',
  version: 1,
  doc: 'Geometry (LINE)',
};

const CIRCLE: ConnectSchema = {
  type: 'struct',
  fields: [
    { field: 'center', schema: POINT },
    { field: 'radius', schema: DOUBLE },
  ],
  name: 'io.debezium.data.geometry.Circle',
  version: 1,
  doc: 'Geometry (CIRCLE)',
};

/** Geometric types of PostgreSQL, and geometry and geography of PostGIS. */
export function geometricType(type: ColumnType): ConnectType | undefined {
  switch (type.name) {
    case 'point':
      return { schema: POINT, write: numbersWriter('point', 2, ([x, y], out) => writePoint(x, y, out)) };
    case 'circle':
      return { schema: CIRCLE, write: numbersWriter('circle', 3, writeCircle) };
    case 'line':
      return { schema: LINE, write: numbersWriter('line', 3, writeLine) };
    case 'box':
      return shape('box', (points) => wkbPolygon(boxRing(points)));
    case 'lseg':
      return shape('lseg', wkbLineString);
    case 'polygon':
      return shape('polygon', (points) => wkbPolygon(closed(points)));
    case 'path':
      return { schema: SHAPE, write: writePath };
    case 'geometry':
      return { schema: POSTGIS_GEOMETRY, write: ewkbWriter() };
    case 'geography':
      return { schema: POSTGIS_GEOGRAPHY, write: ewkbWriter() };
    default:
      return undefined;
  }
}

function shape(name: string, wkb: (points: Coordinates) => Buffer): ConnectType {
  return {
    schema: SHAPE,
    write: (bytes, start, end, out) => {
      const points = coordinates(geometricNumbers(bytes, start, end, name), name);
      writeGeometry(wkb(points), `{"type":"${name}"}`, out);
    },
  };
}

/** Through both corners as the server orders them: upper right, lower left. */
function boxRing(points: Coordinates): Coordinates {
  const [upper, lower] = points;
  if (upper === undefined || lower === undefined) throw unreadable('box');
  return [upper, [upper[0], lower[1]], lower, [lower[0], upper[1]], upper];
}

function writePath(bytes: Buffer, start: number, end: number, out: ByteWriter): void {
  const points = coordinates(geometricNumbers(bytes, start, end, 'path'), 'path');
  const isClosed = bytes[start] !== OPEN_BRACKET;
  writeGeometry(wkbLineString(points), `{"type":"path","closed":"${isClosed}"}`, out);
}

function writeGeometry(wkb: Buffer, extensions: string, out: ByteWriter): void {
  out.ascii('{"wkb":');
  writeBase64(wkb, 0, wkb.length, out);
  out.ascii(`,"srid":null,"extensions":${extensions}}`);
}

function numbersWriter(
  type: string,
  count: number,
  write: (numbers: readonly [string, string, string], out: ByteWriter) => void,
): WriteValue {
  return (bytes, start, end, out) => {
    const numbers = geometricNumbers(bytes, start, end, type);
    if (numbers.length !== count) throw unreadable(type);
    write(numbers as unknown as readonly [string, string, string], out);
  };
}

function writePoint(x: string, y: string, out: ByteWriter): void {
  out.ascii('{"x":');
  writeDouble(x, out);
  out.ascii(',"y":');
  writeDouble(y, out);
  out.ascii(',"wkb":');
  const wkb = wkbPoint(Number(x), Number(y));
  writeBase64(wkb, 0, wkb.length, out);
  out.ascii(',"srid":null}');
}

function writeCircle([x, y, radius]: readonly [string, string, string], out: ByteWriter): void {
  out.ascii('{"center":');
  writePoint(x, y, out);
  out.ascii(',"radius":');
  writeDouble(radius, out);
  out.ascii('}');
}

function writeLine([a, b, c]: readonly [string, string, string], out: ByteWriter): void {
  out.ascii('{"a":');
  writeDouble(a, out);
  out.ascii(',"b":');
  writeDouble(b, out);
  out.ascii(',"c":');
  writeDouble(c, out);
  out.ascii('}');
}

function writeDouble(text: string, out: ByteWriter): void {
  const bytes = Buffer.from(text, 'latin1');
  writeJavaFloat(bytes, 0, bytes.length, out);
}

function closed(points: Coordinates): Coordinates {
  const [first] = points;
  const last = points.at(-1);
  if (first === undefined || last === undefined || (first[0] === last[0] && first[1] === last[1]))
    return points;
  return [...points, first];
}

/** PostGIS prints geometry as hexadecimal extended WKB. */
function ewkbWriter(): WriteValue {
  const decoded = new DecodedBytes();
  return (bytes, start, end, out) => {
    decoded.fromHex(bytes, start, end);
    const ewkb = Buffer.from(decoded.bytes.buffer, decoded.bytes.byteOffset, decoded.length);
    out.ascii('{"wkb":');
    writeBase64(ewkb, 0, ewkb.length, out);
    out.ascii(`,"srid":${ewkbSrid(ewkb) ?? 'null'}}`);
  };
}
