import type { ByteWriter } from '../byte-writer.ts';
import { UnwritableValue } from './value-writer.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LOWER_U = 0x75;

/** 0: copied as it is. 1: part of a multi-byte UTF-8 sequence. Else the character after the backslash, `u` for \u00XX. */
const ESCAPE = new Uint8Array(256);
ESCAPE.fill(LOWER_U, 0, 0x20);
ESCAPE.fill(1, 0x80);
ESCAPE[0x08] = 0x62; // b
ESCAPE[0x09] = 0x74; // t
ESCAPE[0x0a] = 0x6e; // n
ESCAPE[0x0c] = 0x66; // f
ESCAPE[0x0d] = 0x72; // r
ESCAPE[QUOTE] = QUOTE;
ESCAPE[BACKSLASH] = BACKSLASH;

/** Upper case, as Jackson writes it. */
const HEX = Buffer.from('0123456789ABCDEF');

/** From this length on, runs of safe bytes are copied by memcpy instead of byte by byte. */
const LONG_BYTES = 64;

/** A JSON string holding the UTF-8 text `bytes[start, end)`. Throws UnwritableValue (E_ENCODING) when it is not UTF-8. */
export function writeJsonString(bytes: Buffer, start: number, end: number, out: ByteWriter): void {
  writeString(bytes, start, end, out, false);
}

/**
 * The same with characters above U+FFFF as two \uXXXX escapes, as Jackson and with it Kafka Connect's JsonConverter write them:
 * keys are equal byte by byte to those that Debezium has written before.
 */
export function writeJacksonString(bytes: Buffer, start: number, end: number, out: ByteWriter): void {
  writeString(bytes, start, end, out, true);
}

function writeString(bytes: Buffer, start: number, end: number, out: ByteWriter, jackson: boolean): void {
  const buffer = out.reserve(end - start + 2);
  let at = out.length;
  buffer[at++] = QUOTE;
  let i = start;
  if (end - start < LONG_BYTES) {
    while (i < end) {
      const byte = bytes[i] as number;
      if (ESCAPE[byte] !== 0) break;
      buffer[at++] = byte;
      i++;
    }
    if (i === end) {
      buffer[at++] = QUOTE;
      out.length = at;
      return;
    }
  }
  out.length = at;
  writeEscaped(bytes, i, end, out, jackson);
  out.byte(QUOTE);
}

function writeEscaped(bytes: Buffer, start: number, end: number, out: ByteWriter, jackson: boolean): void {
  let runStart = start;
  let i = start;
  while (i < end) {
    const byte = bytes[i] as number;
    const escape = ESCAPE[byte] as number;
    if (escape === 0) {
      i++;
      continue;
    }
    if (escape === 1) {
      const next = sequenceEnd(bytes, i, end);
      if (jackson && byte >= 0xf0) {
        out.bytes(bytes, runStart, i);
        writeSurrogates(bytes, i, out);
        runStart = next;
      }
      i = next;
      continue;
    }
    out.bytes(bytes, runStart, i);
    if (escape === LOWER_U) writeUnicodeEscape(byte, out);
    else {
      const buffer = out.reserve(2);
      buffer[out.length++] = BACKSLASH;
      buffer[out.length++] = escape;
    }
    runStart = ++i;
  }
  out.bytes(bytes, runStart, end);
}

/** The four bytes at `i`, known to be well-formed, as a UTF-16 surrogate pair. */
function writeSurrogates(bytes: Buffer, i: number, out: ByteWriter): void {
  const code =
    (((bytes[i] as number) & 0x07) << 18) |
    (((bytes[i + 1] as number) & 0x3f) << 12) |
    (((bytes[i + 2] as number) & 0x3f) << 6) |
    ((bytes[i + 3] as number) & 0x3f);
  const offset = code - 0x1_0000;
  writeUnicodeEscape(0xd800 + (offset >> 10), out);
  writeUnicodeEscape(0xdc00 + (offset & 0x3ff), out);
}

function writeUnicodeEscape(unit: number, out: ByteWriter): void {
  const buffer = out.reserve(6);
  let at = out.length;
  buffer[at++] = BACKSLASH;
  buffer[at++] = LOWER_U;
  for (let shift = 12; shift >= 0; shift -= 4) buffer[at++] = HEX[(unit >> shift) & 15] as number;
  out.length = at;
}

/**
 * Offset behind the multi-byte sequence at `i`, by the table of well-formed sequences (Unicode 17, table 3-7). The server
 * guarantees UTF-8 except in an SQL_ASCII database, whose bytes it passes on unseen.
 */
function sequenceEnd(bytes: Buffer, i: number, end: number): number {
  const lead = bytes[i] as number;
  let length: number;
  let low = 0x80;
  let high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) length = 2;
  else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead === 0xe0) low = 0xa0;
    else if (lead === 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead === 0xf0) low = 0x90;
    else if (lead === 0xf4) high = 0x8f;
  } else throw notUtf8();
  if (i + length > end) throw notUtf8();
  const second = bytes[i + 1] as number;
  if (second < low || second > high) throw notUtf8();
  for (let k = i + 2; k < i + length; k++) {
    if (((bytes[k] as number) & 0xc0) !== 0x80) throw notUtf8();
  }
  return i + length;
}

function notUtf8(): UnwritableValue {
  return new UnwritableValue('holds bytes that are not UTF-8', {
    code: 'E_ENCODING',
    fix: 'The database is probably of encoding SQL_ASCII. Correct the stored bytes, or store them in a bytea column.',
  });
}

/** Text known to need no escaping (digits, hexadecimal, ISO dates), in quotes. */
export function writeQuoted(bytes: Buffer, start: number, end: number, out: ByteWriter): void {
  out.byte(QUOTE);
  out.bytes(bytes, start, end);
  out.byte(QUOTE);
}

/** Text that is JSON already: integers, finite floats in PostgreSQL's spelling. */
export function writeVerbatim(bytes: Buffer, start: number, end: number, out: ByteWriter): void {
  out.bytes(bytes, start, end);
}

/**
 * A json or jsonb value as part of the surrounding JSON. Line breaks, which JSON allows between tokens only, become spaces, so that
 * output of one document a line stays that.
 */
export function writeJsonVerbatim(bytes: Buffer, start: number, end: number, out: ByteWriter): void {
  const from = out.length;
  out.bytes(bytes, start, end);
  const buffer = out.buffer;
  for (let at = from; at < out.length; at++) {
    const byte = buffer[at] as number;
    if (byte === 0x0a || byte === 0x0d) buffer[at] = 0x20;
    else if (byte >= 0x80) at = sequenceEnd(buffer, at, out.length) - 1;
  }
}

/** JSON source of what is known when an encoder is made: member names, placeholders. */
export function jsonBytes(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** The same in Jackson's spelling of escapes. */
export function jacksonBytes(value: unknown): Buffer {
  return Buffer.from(
    JSON.stringify(value)
      // An escaped backslash is taken as a whole: what follows it is text.
      .replace(/\\(?:u[0-9a-f]{4}|.)/g, (escape) =>
        escape.length === 2 ? escape : `\\u${escape.slice(2).toUpperCase()}`,
      )
      .replace(/[\ud800-\udfff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).toUpperCase()}`),
  );
}
