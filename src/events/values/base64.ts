import type { ByteWriter } from '../byte-writer.ts';

const STANDARD = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const URL_SAFE = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_');
const QUOTE = 0x22;
const PAD = 0x3d;

/** Base64 with padding, in quotes. */
export function writeBase64(
  source: Uint8Array,
  start: number,
  end: number,
  out: ByteWriter,
  urlSafe = false,
): void {
  const alphabet = urlSafe ? URL_SAFE : STANDARD;
  const buffer = out.reserve(Math.ceil((end - start) / 3) * 4 + 2);
  let at = out.length;
  buffer[at++] = QUOTE;
  let i = start;
  for (; i + 2 < end; i += 3) {
    const group =
      ((source[i] as number) << 16) | ((source[i + 1] as number) << 8) | (source[i + 2] as number);
    buffer[at++] = alphabet[group >> 18] as number;
    buffer[at++] = alphabet[(group >> 12) & 63] as number;
    buffer[at++] = alphabet[(group >> 6) & 63] as number;
    buffer[at++] = alphabet[group & 63] as number;
  }
  if (i < end) {
    const two = i + 1 < end;
    const group = ((source[i] as number) << 16) | (two ? (source[i + 1] as number) << 8 : 0);
    buffer[at++] = alphabet[group >> 18] as number;
    buffer[at++] = alphabet[(group >> 12) & 63] as number;
    buffer[at++] = two ? (alphabet[(group >> 6) & 63] as number) : PAD;
    buffer[at++] = PAD;
  }
  buffer[at++] = QUOTE;
  out.length = at;
}
