import { formatLsn, type Lsn, parseLsn } from './lsn.ts';

/**
 * Where an event stands in the one order all holders share.
 *
 * `commitLsn` is the *start* of its transaction's commit record (known from Begin, unique, rising in delivery order). `seq` counts
 * every data event pgoutput sends for the transaction, before any mapping or filter, from 1; so it is the same on every re-read
 * and under every configuration. 0 means "before the first event" or a message outside a transaction.
 */
export type Position = { readonly commitLsn: Lsn; readonly seq: number };

/**
 * What a holder (log or sink) has for good.
 *
 * Every event at or before `position` is held, and every WAL byte below `endLsn` is covered, also what held nothing for this holder.
 * `endLsn` is a commit's *end* (or a keepalive's) position: the only kind that is confirmed to the server or compared with a slot.
 * In the middle of a transaction delivered in pieces `endLsn` is still the end of the transaction before it.
 * `source` names the database and the numbering: identity of the cluster and database, and generation (see `SourceIdentity`).
 */
export type Checkpoint = { readonly position: Position; readonly endLsn: Lsn; readonly source: string };

export const BEFORE_ALL: Position = { commitLsn: 0n, seq: 0 };

/** Negative, zero or positive, as for Array.prototype.sort. */
export function comparePositions(a: Position, b: Position): number {
  if (a.commitLsn !== b.commitLsn) return a.commitLsn < b.commitLsn ? -1 : 1;
  return a.seq - b.seq;
}

/** `16/B374D848:12`; the spelling in logs, dead letters and on the command line. */
export function formatPosition(position: Position): string {
  return `${formatLsn(position.commitLsn)}:${position.seq}`;
}

/** Reads what `formatPosition` writes. Throws RangeError for anything else. */
export function parsePosition(text: string): Position {
  const colon = text.lastIndexOf(':');
  const seq = Number(text.slice(colon + 1));
  if (colon < 0 || !Number.isSafeInteger(seq) || seq < 0 || !/^\d+$/.test(text.slice(colon + 1))) {
    throw new RangeError(`Not a position: ${JSON.stringify(text)}`);
  }
  return { commitLsn: parseLsn(text.slice(0, colon)), seq };
}

/** The stored form of a checkpoint: LSNs as PostgreSQL prints them, so that people can compare them with the server's views. */
export type StoredCheckpoint = { commit_lsn: string; seq: number; end_lsn: string; source: string };

export function storeCheckpoint(checkpoint: Checkpoint): StoredCheckpoint {
  return {
    commit_lsn: formatLsn(checkpoint.position.commitLsn),
    seq: checkpoint.position.seq,
    end_lsn: formatLsn(checkpoint.endLsn),
    source: checkpoint.source,
  };
}

/** Throws RangeError when a field is missing or malformed: a damaged checkpoint is never taken for "from the beginning". */
export function restoreCheckpoint(stored: unknown): Checkpoint {
  const { commit_lsn, seq, end_lsn, source } = (stored ?? {}) as Partial<
    Record<keyof StoredCheckpoint, unknown>
  >;
  if (typeof commit_lsn !== 'string' || typeof end_lsn !== 'string' || typeof source !== 'string') {
    throw new RangeError('Not a checkpoint: commit_lsn, end_lsn and source must be strings');
  }
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0) {
    throw new RangeError('Not a checkpoint: seq must be a whole number');
  }
  return { position: { commitLsn: parseLsn(commit_lsn), seq }, endLsn: parseLsn(end_lsn), source };
}
