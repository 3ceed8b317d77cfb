import { crc32 } from 'node:zlib';
import type { Lsn } from '../events/lsn.ts';
import type { Position } from '../events/position.ts';
import { getUint53, setUint53 } from './frame-format.ts';

/** What a reader has to know to begin with a segment, whether or not those before it are still there. */
export interface SegmentHeader {
  /** Log offset of the header's first byte; also the file's name. */
  readonly base: number;
  /** Wall clock when it was begun: the newest content of the segment before it is no younger. */
  readonly createdMs: number;
  /** The log begins here: segments before it are of no account. */
  readonly startsLog: boolean;
  /** It begins inside a transaction. */
  readonly continues: boolean;
  /** Every event in it is after this position: the event appended before it, of an open transaction too. */
  readonly previous: Position;
  /** The last committed event before it. */
  readonly last: Position;
  /** End of the last commit or progress before it. */
  readonly endLsn: Lsn;
  /** End of the last transaction with events before it, or where the log begins: nothing is missing from here on. */
  readonly startLsn: Lsn;
  /** Relation versions before it are below this number. */
  readonly nextRelation: number;
}

export const SEGMENT_HEADER_BYTES = 128;
export const FORMAT_VERSION = 1;

const MAGIC = Buffer.from('TAILRACE', 'latin1');
const CHECKSUM_AT = 124;
const STARTS_LOG = 1;
const CONTINUES = 2;

/** 20 digits and `.segment`: names sort like offsets. */
export function segmentFileName(base: number): string {
  return `${String(base).padStart(20, '0')}.segment`;
}

/** The log offset a segment's name tells; undefined for other files. */
export function segmentBaseOf(fileName: string): number | undefined {
  const digits = /^(\d{20})\.segment$/.exec(fileName)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  MAGIC.copy(bytes);
  view.setUint32(8, FORMAT_VERSION, true);
  view.setUint32(12, (header.startsLog ? STARTS_LOG : 0) | (header.continues ? CONTINUES : 0), true);
  setUint53(view, 16, header.base);
  setUint53(view, 24, header.createdMs);
  view.setBigUint64(32, header.previous.commitLsn, true);
  setUint53(view, 40, header.previous.seq);
  view.setBigUint64(48, header.last.commitLsn, true);
  setUint53(view, 56, header.last.seq);
  view.setBigUint64(64, header.endLsn, true);
  view.setBigUint64(72, header.startLsn, true);
  view.setUint32(80, header.nextRelation, true);
  view.setUint32(CHECKSUM_AT, crc32(bytes.subarray(0, CHECKSUM_AT)), true);
  return bytes;
}

/** Why the bytes are no header, in words for the error; or the header. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | string {
  if (bytes.length < SEGMENT_HEADER_BYTES) return 'the segment is shorter than its header';
  if (MAGIC.compare(bytes, 0, MAGIC.length) !== 0) return 'this is no segment of an event log';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const version = view.getUint32(8, true);
  if (version !== FORMAT_VERSION) {
    return `the segment has format version ${version}, this program reads ${FORMAT_VERSION}`;
  }
  if (crc32(bytes.subarray(0, CHECKSUM_AT)) !== view.getUint32(CHECKSUM_AT, true)) {
    return "the header's checksum is wrong";
  }
  const flags = view.getUint32(12, true);
  return {
    base: getUint53(view, 16),
    createdMs: getUint53(view, 24),
    startsLog: (flags & STARTS_LOG) !== 0,
    continues: (flags & CONTINUES) !== 0,
    previous: { commitLsn: view.getBigUint64(32, true), seq: getUint53(view, 40) },
    last: { commitLsn: view.getBigUint64(48, true), seq: getUint53(view, 56) },
    endLsn: view.getBigUint64(64, true),
    startLsn: view.getBigUint64(72, true),
    nextRelation: view.getUint32(80, true),
  };
}
