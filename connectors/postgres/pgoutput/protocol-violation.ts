import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { formatLsn, type Lsn } from '../../../src/events/lsn.ts';

/** Bytes shown of a message that cannot be decoded: enough to recognise its structure, too few to hold much of a row. */
const CONTEXT_BYTES = 32;

/** Thrown where the bytes are looked at; becomes a TailraceError where their WAL position is known. */
export class ProtocolViolation extends Error {
  override readonly name = 'ProtocolViolation';
  /** Where in the buffer. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

export interface MessagePlace {
  /** The last WAL position the server named, at or before the message. */
  readonly lsn: Lsn;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** E_PROTOCOL with position and 32 bytes around the place; final, since the server would send the same again. */
export function protocolError(violation: ProtocolViolation, place: MessagePlace): TailraceError {
  const { bytes, start, end } = place;
  const at = Math.min(Math.max(violation.offset, start), end);
  const from = Math.max(start, Math.min(at - CONTEXT_BYTES / 2, end - CONTEXT_BYTES));
  const context = Buffer.from(bytes.subarray(from, Math.min(end, from + CONTEXT_BYTES))).toString('hex');
  return new TailraceError({
    code: 'E_PROTOCOL',
    message:
      `${violation.message}, at byte ${at - start} of a ${end - start}-byte pgoutput message near WAL position ` +
      `${formatLsn(place.lsn)}; bytes ${from - start} to ${from - start + context.length / 2} in hexadecimal: ${context || 'none'}`,
    fix:
      'Nothing was skipped and nothing after this position was read. Please report it with this message; ' +
      'a proxy or pooler that changes the stream is the other possible cause.',
    cause: violation,
  });
}
