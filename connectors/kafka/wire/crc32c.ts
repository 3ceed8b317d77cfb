/**
 * CRC-32C (Castagnoli), the checksum of Kafka's record batches; Node's own zlib.crc32 is the other polynomial.
 * Eight bytes at a time over eight tables ("slicing-by-8", Kounavis and Berry 2005).
 */
const POLYNOMIAL = 0x82f6_3b78;
const T = makeTables();

export function crc32c(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  let crc = -1;
  let at = start;
  for (const last = end - 7; at < last; at += 8) {
    crc ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    crc =
      (T[0x700 | (crc & 0xff)] as number) ^
      (T[0x600 | ((crc >>> 8) & 0xff)] as number) ^
      (T[0x500 | ((crc >>> 16) & 0xff)] as number) ^
      (T[0x400 | (crc >>> 24)] as number) ^
      (T[0x300 | (bytes[at + 4] as number)] as number) ^
      (T[0x200 | (bytes[at + 5] as number)] as number) ^
      (T[0x100 | (bytes[at + 6] as number)] as number) ^
      (T[bytes[at + 7] as number] as number);
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ (T[(crc ^ (bytes[at] as number)) & 0xff] as number);
  return ~crc >>> 0;
}

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let i = 256; i < tables.length; i++) {
    const crc = tables[i - 256] as number;
    tables[i] = (crc >>> 8) ^ (tables[crc & 0xff] as number);
  }
  return tables;
}
