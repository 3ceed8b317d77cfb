import type { Op } from '../events/change-event.ts';
import type { Lsn } from '../events/lsn.ts';
import type { EventKind, TransactionHeader } from './contract.ts';

/**
 * The frames of a segment, little-endian. Every frame begins with its size in bytes (u32, these five bytes included) and its kind (u8).
 *
 *   block     3 bytes mark, u32 length of the frames behind it, u64 its own log offset, u64 log offset known to be on disk, u32 checksum
 *   relation  u32 version, definition as JSON
 *   begin     u8 flags, u64 commit LSN, u32 xid, i64 commit time (us), u64 events before it in its transaction [, u64 origin LSN, origin name]
 *   commit    u64 end LSN, u64 number of events
 *   rollback  -
 *   progress  u64 end LSN
 *   events    u32 relation version, u64 WAL LSN, body as LogWriter.append describes it
 *
 * A log offset counts the bytes of the log from its first segment on, segment headers included: it names a byte for good.
 */
export const FRAME = {
  block: 1,
  relation: 2,
  begin: 3,
  commit: 4,
  rollback: 5,
  progress: 6,
  insert: 16,
  update: 17,
  delete: 18,
  truncate: 19,
  message: 20,
  /** A message outside a transaction: an event of its own. */
  looseMessage: 21,
} as const;

/** Frames from this kind on are events. */
export const FIRST_EVENT_KIND = 16;
export const LAST_KIND = 21;

export const FRAME_HEADER_BYTES = 5;
export const EVENT_HEADER_BYTES = 17;
export const BEGIN_BYTES = 34;
export const COMMIT_BYTES = 21;
export const ROLLBACK_BYTES = 5;
export const PROGRESS_BYTES = 13;
export const RELATION_HEADER_BYTES = 9;

const BEGIN_CONTINUED = 1;
const BEGIN_ORIGIN = 2;
const TWO_32 = 0x1_0000_0000;

export function kindOf(kind: EventKind): number {
  return FRAME[kind];
}

/** By frame kind; undefined where the frame is no event. */
export const OP_OF: readonly (Op | undefined)[] = Array.from({ length: LAST_KIND + 1 }, (_, kind) => {
  switch (kind) {
    case FRAME.insert:
      return 'insert';
    case FRAME.update:
      return 'update';
    case FRAME.delete:
      return 'delete';
    case FRAME.truncate:
      return 'truncate';
    case FRAME.message:
    case FRAME.looseMessage:
      return 'message';
    default:
      return undefined;
  }
});

/** Whole numbers up to 2^53 as u64, without a bigint on the way. */
export function setUint53(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % TWO_32, true);
  view.setUint32(at + 4, Math.floor(value / TWO_32), true);
}

export function getUint53(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * TWO_32;
}

export function beginBytes(transaction: TransactionHeader): number {
  const { origin } = transaction;
  return origin === undefined ? BEGIN_BYTES : BEGIN_BYTES + 8 + Buffer.byteLength(origin.name);
}

export interface BeginFrame {
  readonly size: number;
  /** Events of the transaction before this frame: not 0 where it goes on in a new segment. */
  readonly seqBefore: number;
  readonly transaction: TransactionHeader;
}

export function writeBegin(view: DataView, buffer: Buffer, at: number, frame: BeginFrame): void {
  const { size, seqBefore, transaction } = frame;
  const { origin } = transaction;
  view.setUint32(at, size, true);
  view.setUint8(at + 4, FRAME.begin);
  view.setUint8(at + 5, (seqBefore > 0 ? BEGIN_CONTINUED : 0) | (origin === undefined ? 0 : BEGIN_ORIGIN));
  view.setBigUint64(at + 6, transaction.commitLsn, true);
  view.setUint32(at + 14, transaction.xid, true);
  view.setBigInt64(at + 18, transaction.commitTimeUs, true);
  setUint53(view, at + 26, seqBefore);
  if (origin === undefined) return;
  view.setBigUint64(at + 34, origin.commitLsn, true);
  buffer.utf8Write(origin.name, at + 42);
}

export function beginCommitLsn(view: DataView, at: number): Lsn {
  return view.getBigUint64(at + 6, true);
}

export function beginXid(view: DataView, at: number): number {
  return view.getUint32(at + 14, true);
}

export function beginCommitTimeUs(view: DataView, at: number): bigint {
  return view.getBigInt64(at + 18, true);
}

export function beginSeqBefore(view: DataView, at: number): number {
  return getUint53(view, at + 26);
}

export function beginOrigin(view: DataView, buffer: Buffer, at: number): TransactionHeader['origin'] {
  if ((view.getUint8(at + 5) & BEGIN_ORIGIN) === 0) return undefined;
  const end = at + view.getUint32(at, true);
  return { name: buffer.utf8Slice(at + 42, end), commitLsn: view.getBigUint64(at + 34, true) };
}

export function writeCommit(view: DataView, at: number, endLsn: Lsn, eventCount: number): void {
  view.setUint32(at, COMMIT_BYTES, true);
  view.setUint8(at + 4, FRAME.commit);
  view.setBigUint64(at + 5, endLsn, true);
  setUint53(view, at + 13, eventCount);
}

/** Of a commit or progress frame. */
export function frameEndLsn(view: DataView, at: number): Lsn {
  return view.getBigUint64(at + 5, true);
}

export function commitEventCount(view: DataView, at: number): number {
  return getUint53(view, at + 13);
}

export function writeRollback(view: DataView, at: number): void {
  view.setUint32(at, ROLLBACK_BYTES, true);
  view.setUint8(at + 4, FRAME.rollback);
}

export function writeProgress(view: DataView, at: number, endLsn: Lsn): void {
  view.setUint32(at, PROGRESS_BYTES, true);
  view.setUint8(at + 4, FRAME.progress);
  view.setBigUint64(at + 5, endLsn, true);
}

export function eventWalLsn(view: DataView, at: number): Lsn {
  return view.getBigUint64(at + 9, true);
}
