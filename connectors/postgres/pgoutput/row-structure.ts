import { KIND } from '../../../src/events/tuple/tuple-layout.ts';
import { ProtocolViolation } from './protocol-violation.ts';

/** Submessages of Insert, Update and Delete. https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html */
export const KEY_TUPLE = 0x4b; // K
export const OLD_TUPLE = 0x4f; // O
export const NEW_TUPLE = 0x4e; // N

// Looked up once, not per column.
const NULL = KIND.null;
const UNCHANGED = KIND.unchanged;
const TEXT = KIND.text;

/**
 * Walks over a row's body without decoding anything: the submessages that belong to its kind, as many columns as the relation has, every length inside the
 * message. Everything behind it (log, lanes, encoders) relies on that. Runs once per row: no allocation.
 */
export function checkRow(
  kind: 'insert' | 'update' | 'delete',
  bytes: Uint8Array,
  start: number,
  end: number,
  columns: number,
): void {
  let at = start;
  let submessage = at < end ? (bytes[at] as number) : -1;
  if (kind !== 'insert' && (submessage === KEY_TUPLE || submessage === OLD_TUPLE)) {
    at = checkTuple(bytes, at + 1, end, columns);
    if (kind === 'delete') {
      if (at !== end) throw new ProtocolViolation(`${end - at} bytes are left over`, at);
      return;
    }
    submessage = at < end ? (bytes[at] as number) : -1;
  }
  if (kind === 'delete' || submessage !== NEW_TUPLE) {
    throw new ProtocolViolation(`${kind} with an unexpected submessage ${describeByte(submessage)}`, at);
  }
  at = checkTuple(bytes, at + 1, end, columns);
  if (at !== end) throw new ProtocolViolation(`${end - at} bytes are left over`, at);
}

/** Returns where the tuple ends. */
function checkTuple(bytes: Uint8Array, start: number, end: number, columns: number): number {
  if (start + 2 > end) throw new ProtocolViolation('A tuple goes beyond the end', start);
  const count = ((bytes[start] as number) << 8) | (bytes[start + 1] as number);
  if (count !== columns) {
    throw new ProtocolViolation(`A tuple of ${count} columns for a relation of ${columns}`, start);
  }
  let at = start + 2;
  for (let column = 0; column < count; column++) {
    const kind = at < end ? bytes[at] : undefined;
    if (kind === TEXT) {
      if (at + 5 > end) throw new ProtocolViolation(`Column ${column} goes beyond the end`, at);
      // Unsigned: a negative length is far beyond the end as well.
      const length =
        (((bytes[at + 1] as number) << 24) |
          ((bytes[at + 2] as number) << 16) |
          ((bytes[at + 3] as number) << 8) |
          (bytes[at + 4] as number)) >>>
        0;
      if (length > end - at - 5) {
        throw new ProtocolViolation(`Column ${column} (${length} bytes) goes beyond the end`, at);
      }
      at += 5 + length;
    } else if (kind === NULL || kind === UNCHANGED) {
      at += 1;
    } else if (kind === undefined) {
      throw new ProtocolViolation(`Column ${column} goes beyond the end`, at);
    } else {
      throw new ProtocolViolation(`Column ${column} has the unknown kind ${describeByte(kind)}`, at);
    }
  }
  return at;
}

/** `'b' (0x62)`; -1 stands for the end of the message. */
export function describeByte(byte: number): string {
  if (byte < 0) return '(end of message)';
  const printable = byte >= 0x20 && byte < 0x7f ? `'${String.fromCharCode(byte)}' ` : '';
  return `${printable}(0x${byte.toString(16).padStart(2, '0')})`;
}
