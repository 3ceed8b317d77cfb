import { unreadable } from './value-writer.ts';

const PUNCTUATION = new Set(Buffer.from('()[]{}<>,'));

const WKB_LITTLE_ENDIAN = 1;
const WKB_POINT = 1;
const WKB_LINE_STRING = 2;
const WKB_POLYGON = 3;

/** PostGIS' flag in the type of an extended WKB: four bytes of SRID follow. */
const EWKB_SRID = 0x2000_0000;

/**
 * The numbers of a geometric value as the server spells them: `<(1,2),3>` gives 1, 2, 3.
 * https://www.postgresql.org/docs/current/datatype-geometric.html
 */
export function geometricNumbers(bytes: Buffer, start: number, end: number, type: string): string[] {
  const numbers: string[] = [];
  let from = -1;
  for (let i = start; i <= end; i++) {
    if (i === end || PUNCTUATION.has(bytes[i] as number)) {
      if (from >= 0) numbers.push(bytes.latin1Slice(from, i));
      from = -1;
    } else if (from < 0) from = i;
  }
  if (numbers.length === 0 || numbers.some((text) => Number.isNaN(Number(text)) && text !== 'NaN')) {
    throw unreadable(type);
  }
  return numbers;
}

export type Coordinates = readonly (readonly [x: number, y: number])[];

export function coordinates(numbers: readonly string[], type: string): Coordinates {
  if (numbers.length % 2 !== 0) throw unreadable(type);
  const points: [number, number][] = [];
  for (let i = 0; i < numbers.length; i += 2) points.push([Number(numbers[i]), Number(numbers[i + 1])]);
  return points;
}

/** Well-known binary, little-endian. https://www.ogc.org/standards/sfa/ */
export function wkbPoint(x: number, y: number): Buffer {
  const wkb = Buffer.alloc(21);
  wkbHeader(wkb, WKB_POINT);
  wkb.writeDoubleLE(x, 5);
  wkb.writeDoubleLE(y, 13);
  return wkb;
}

export function wkbLineString(points: Coordinates): Buffer {
  const wkb = Buffer.alloc(9 + points.length * 16);
  wkbHeader(wkb, WKB_LINE_STRING);
  wkbPoints(wkb, 5, points);
  return wkb;
}

/** One ring; the caller closes it. */
export function wkbPolygon(ring: Coordinates): Buffer {
  const wkb = Buffer.alloc(13 + ring.length * 16);
  wkbHeader(wkb, WKB_POLYGON);
  wkb.writeUInt32LE(1, 5);
  wkbPoints(wkb, 9, ring);
  return wkb;
}

function wkbHeader(wkb: Buffer, type: number): void {
  wkb[0] = WKB_LITTLE_ENDIAN;
  wkb.writeUInt32LE(type, 1);
}

function wkbPoints(wkb: Buffer, at: number, points: Coordinates): void {
  wkb.writeUInt32LE(points.length, at);
  let offset = at + 4;
  for (const [x, y] of points) {
    wkb.writeDoubleLE(x, offset);
    wkb.writeDoubleLE(y, offset + 8);
    offset += 16;
  }
}

/** SRID of a PostGIS extended WKB, when it carries one. */
export function ewkbSrid(ewkb: Buffer): number | undefined {
  if (ewkb.length < 9) return undefined;
  const little = ewkb[0] !== 0;
  const type = little ? ewkb.readUInt32LE(1) : ewkb.readUInt32BE(1);
  if ((type & EWKB_SRID) === 0) return undefined;
  return little ? ewkb.readInt32LE(5) : ewkb.readInt32BE(5);
}
