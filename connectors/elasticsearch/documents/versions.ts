import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { formatLsn, type Lsn } from '../../../src/events/lsn.ts';

/**
 * Versions a transaction has to itself: commit LSN + 0 ... + 31. Commit and message records are 8-byte aligned and at least
 * 40 bytes long, so the next record that can be a version starts later.
 * https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/access/xlogrecord.h
 */
export const PIECES = 32;

/** Versions are 63 bits: 0 to 2^63 - 1. */
const MAX_VERSION = 2n ** 63n - 1n;

/**
 * The piece of its transaction that an event belongs to, 0 to 31. Every piece is folded to the last operation per document, so a
 * document is written at most once with one version, and with the same content on every replay, however the log was cut into batches.
 * `seq` counts from 1 to `eventCount`.
 */
export function pieceOf(seq: number, eventCount: number): number {
  if (!(seq >= 1 && seq <= eventCount)) {
    throw internal(`Event ${seq} is not one of the ${eventCount} of its transaction.`);
  }
  return Math.floor(((seq - 1) * PIECES) / eventCount);
}

/** `seq` of the last event of a piece. */
export function lastSeqOfPiece(piece: number, eventCount: number): number {
  return Math.ceil(((piece + 1) * eventCount) / PIECES);
}

/** The external version of a piece's documents. Throws E_INTERNAL beyond 63 bits. */
export function versionOf(commitLsn: Lsn, piece: number): bigint {
  const version = commitLsn + BigInt(piece);
  if (version > MAX_VERSION) {
    throw internal(`${formatLsn(commitLsn)} is beyond the versions that Elasticsearch can hold (2^63 - 1).`);
  }
  return version;
}

/** Throws E_INTERNAL when two transactions, in order, would share versions. */
export function assertSpacing(before: Lsn, commitLsn: Lsn): void {
  if (commitLsn !== before && commitLsn - before < BigInt(PIECES)) {
    throw internal(
      `The commits at ${formatLsn(before)} and ${formatLsn(commitLsn)} are out of order or less than ${PIECES} bytes apart.`,
    );
  }
}

function internal(message: string): TailraceError {
  return new TailraceError({ code: 'E_INTERNAL', message });
}
