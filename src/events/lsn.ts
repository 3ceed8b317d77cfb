/**
 * A WAL position: 64 unsigned bits, compared as a number, never as text.
 * https://www.postgresql.org/docs/current/datatype-pg-lsn.html
 */
export type Lsn = bigint;

/** What PostgreSQL calls InvalidXLogRecPtr: no WAL record starts here. */
export const INVALID_LSN: Lsn = 0n;

const LSN_TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;
const LOW_32_BITS = 0xffff_ffffn;

/** Reads `16/B374D848`. Throws RangeError for anything else. */
export function parseLsn(text: string): Lsn {
  const parts = LSN_TEXT.exec(text);
  if (parts === null) throw new RangeError(`Not an LSN: ${JSON.stringify(text)}`);
  return (BigInt(`0x${parts[1]}`) << 32n) | BigInt(`0x${parts[2]}`);
}

/** Writes the spelling PostgreSQL prints: upper-case hexadecimal, no leading zeros. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & LOW_32_BITS).toString(16).toUpperCase()}`;
}

export function maxLsn(a: Lsn, b: Lsn): Lsn {
  return a > b ? a : b;
}

export function minLsn(a: Lsn, b: Lsn): Lsn {
  return a < b ? a : b;
}
