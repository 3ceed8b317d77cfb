import type { Lsn } from '../../../src/events/lsn.ts';
import { POSTGRES_EPOCH_US } from '../pgoutput/byte-reader.ts';
import { ProtocolViolation } from '../pgoutput/protocol-violation.ts';

/**
 * What the walsender and we say to each other inside CopyData.
 * https://www.postgresql.org/docs/current/protocol-replication.html#PROTOCOL-REPLICATION-START-REPLICATION
 */
const XLOG_DATA = 0x77; // w
const KEEPALIVE = 0x6b; // k
const STATUS_UPDATE = 0x72; // r

/** Tag, start of the WAL data, end of the WAL, server's time. */
export const XLOG_DATA_HEADER_BYTES = 25;
const KEEPALIVE_BYTES = 18;
const STATUS_BYTES = 34;

const EPOCH_US = Number(POSTGRES_EPOCH_US);

export type FrameKind = 'data' | 'keepalive';

/** Throws ProtocolViolation for anything but a whole XLogData header or keepalive. */
export function frameKind(frame: Buffer): FrameKind {
  const tag = frame[0];
  if (tag === XLOG_DATA && frame.length > XLOG_DATA_HEADER_BYTES) return 'data';
  if (tag === KEEPALIVE && frame.length === KEEPALIVE_BYTES) return 'keepalive';
  throw new ProtocolViolation('A frame that is neither XLogData nor a keepalive', 0);
}

/**
 * The WAL position the message belongs to; 0 for messages without one (Relation, Type, Begin before an Origin). A logical walsender repeats it as "end of WAL":
 * how far behind we are cannot be read from it.
 */
export function dataLsn(frame: Buffer): Lsn {
  return frame.readBigUInt64BE(1);
}

/** When the server sent it, microseconds since 1970 by the server's clock: a double, which is exact until the year 2255 and costs no bigint a row. */
export function dataSentUs(frame: Buffer): number {
  return frame.readUInt32BE(17) * 2 ** 32 + frame.readUInt32BE(21) + EPOCH_US;
}

export interface Keepalive {
  /** Up to here the server has decoded and sent everything. */
  readonly walEnd: Lsn;
  readonly replyRequested: boolean;
}

export function readKeepalive(frame: Buffer): Keepalive {
  return { walEnd: frame.readBigUInt64BE(1), replyRequested: frame[17] === 1 };
}

export interface StandbyStatus {
  /** Sent as written, flushed and applied: the server may forget everything below. 0 = nothing to say yet, the server ignores it. */
  readonly confirmed: Lsn;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Asks for a keepalive in return. */
  readonly replyRequested: boolean;
}

/** Standby status update. The LSN is an end, exactly: one byte more would swallow a transaction whose commit record begins there. */
export function encodeStatus({ confirmed, nowMs, replyRequested }: StandbyStatus): Buffer {
  const status = Buffer.alloc(STATUS_BYTES);
  status[0] = STATUS_UPDATE;
  status.writeBigUInt64BE(confirmed, 1);
  status.writeBigUInt64BE(confirmed, 9);
  status.writeBigUInt64BE(confirmed, 17);
  status.writeBigInt64BE(BigInt(Math.round(nowMs)) * 1000n - POSTGRES_EPOCH_US, 25);
  status[33] = replyRequested ? 1 : 0;
  return status;
}
