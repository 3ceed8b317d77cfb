import { isUtf8 } from 'node:buffer';
import { LENGTH_ABSENT, LENGTH_NULL, type PackedReader } from './packed-batch.ts';
import type { Storage } from './storage.ts';

/** What node:sqlite binds. `undefined`: the event does not hold the value. */
export type ColumnValue = string | number | bigint | Uint8Array | null | undefined;

/** Fifteen decimal digits are exact in a double. */
const MAX_EXACT_DIGITS = 15;

/** Reads the next value and turns PostgreSQL's text into what is stored. */
export function readValue(packed: PackedReader, storage: Storage): ColumnValue {
  const length = packed.length();
  if (length === LENGTH_NULL) return null;
  if (length === LENGTH_ABSENT) return undefined;
  const { bytes, at: start } = packed;
  const end = start + length;
  packed.at = end;
  switch (storage) {
    case 'text':
      return text(packed, start, end);
    case 'integer':
      return integer(bytes, start, end);
    case 'boolean':
      return bytes[start] === 0x74 ? 1 : 0; // t
    case 'float':
      return float(bytes.latin1Slice(start, end));
    case 'blob':
      // bytea_output = hex: \x and two digits a byte.
      return Buffer.from(bytes.latin1Slice(start + 2, end), 'hex');
  }
}

/** A database in SQL_ASCII sends whatever was put in; a replacement character must not pass for it. */
function text(packed: PackedReader, start: number, end: number): string {
  const decoded = packed.bytes.utf8Slice(start, end);
  if (decoded.includes('\uFFFD') && !isUtf8(packed.bytes.subarray(start, end))) packed.hasInvalidText = true;
  return decoded;
}

function integer(bytes: Buffer, start: number, end: number): number | bigint {
  if (end - start > MAX_EXACT_DIGITS) return BigInt(bytes.latin1Slice(start, end));
  const negative = bytes[start] === 0x2d;
  let value = 0;
  for (let i = negative ? start + 1 : start; i < end; i++) value = value * 10 + ((bytes[i] as number) - 0x30);
  return negative ? 0 - value : value;
}

/** NaN stays text: SQLite would store NULL for the number. */
function float(text: string): number | string {
  return text === 'NaN' ? text : Number(text);
}
