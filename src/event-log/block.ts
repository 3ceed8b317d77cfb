import { crc32 } from 'node:zlib';
import { FRAME, getUint53, setUint53 } from './frame-format.ts';

/**
 * A block is the unit of the checksum: whole frames behind one block frame. In memory the block frame is only stepped over;
 * length and checksum are filled in when the block is closed.
 */
export const BLOCK_HEADER_BYTES = 32;

/** Size, kind and mark: the eight bytes every block begins with, by which blocks are found again behind damage. */
const SIGNATURE = Buffer.from([BLOCK_HEADER_BYTES, 0, 0, 0, FRAME.block, 0xb1, 0x0c, 0x6b]);

const LENGTH_AT = 8;
const OFFSET_AT = 12;
const SYNCED_AT = 20;
const CHECKSUM_AT = 28;

export function openBlock(buffer: Buffer, view: DataView, at: number, logOffset: number): void {
  buffer.set(SIGNATURE, at);
  setUint53(view, at + OFFSET_AT, logOffset);
}

/** `syncedOffset`: everything below it is on disk already; by it recovery tells damage from a torn end. */
export function closeBlock(
  buffer: Buffer,
  view: DataView,
  at: number,
  end: number,
  syncedOffset: number,
): void {
  view.setUint32(at + LENGTH_AT, end - at - BLOCK_HEADER_BYTES, true);
  setUint53(view, at + SYNCED_AT, syncedOffset);
  view.setUint32(at + CHECKSUM_AT, checksum(buffer, at, end), true);
}

function checksum(buffer: Buffer, at: number, end: number): number {
  const ofHeader = crc32(buffer.subarray(at, at + CHECKSUM_AT));
  return crc32(buffer.subarray(at + BLOCK_HEADER_BYTES, end), ofHeader);
}

export type BlockCheck =
  /** `bytes`: header and frames. */
  | { readonly state: 'whole'; readonly bytes: number }
  /** A block may begin here, and ends beyond what is there. `bytes`: what it says it has; undefined when the header is cut as well. */
  | { readonly state: 'cut'; readonly bytes: number | undefined }
  | { readonly state: 'damaged' };

/** Looks at the block that should begin at `buffer[at]`, of which the bytes up to `limit` are there. */
export function checkBlock(
  buffer: Buffer,
  view: DataView,
  at: number,
  limit: number,
  logOffset: number,
): BlockCheck {
  const available = limit - at;
  const signed = Math.min(available, SIGNATURE.length);
  if (buffer.compare(SIGNATURE, 0, signed, at, at + signed) !== 0) return { state: 'damaged' };
  if (available < BLOCK_HEADER_BYTES) return { state: 'cut', bytes: undefined };
  if (getUint53(view, at + OFFSET_AT) !== logOffset) return { state: 'damaged' };
  const bytes = BLOCK_HEADER_BYTES + view.getUint32(at + LENGTH_AT, true);
  if (bytes > available) return { state: 'cut', bytes };
  if (checksum(buffer, at, at + bytes) !== view.getUint32(at + CHECKSUM_AT, true))
    return { state: 'damaged' };
  return { state: 'whole', bytes };
}

/** What the writer of this block knew to be on disk. */
export function blockSyncedOffset(view: DataView, at: number): number {
  return getUint53(view, at + SYNCED_AT);
}

/** Where the next block might begin in `buffer[from, to)`; -1 when nowhere. */
export function findBlock(buffer: Buffer, from: number, to: number): number {
  return buffer.subarray(0, to).indexOf(SIGNATURE, from);
}
