import { createHash } from 'node:crypto';

/** Longest _id. https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/mapping-id-field */
export const MAX_ID_BYTES = 512;

const ESCAPED = /[\\:]/g;

/**
 * The id made of a row's key columns. One column: its text. Several: their texts joined by `:`. So that no two keys share an id,
 * `\` is written `\\`, and within several columns `:` is written `\:`; the empty text alone, which cannot be an _id, is `\0`.
 */
export function idOfKey(values: readonly string[]): string {
  if (values.length === 1) {
    const value = values[0] as string;
    if (value === '') return '\\0';
    return value.includes('\\') ? value.replaceAll('\\', '\\\\') : value;
  }
  return values.map((value) => value.replace(ESCAPED, '\\$&')).join(':');
}

/** An id that Elasticsearch accepts: one longer than 512 bytes becomes `\#` and its SHA-256, which no key's own id can be. */
export function fittingId(id: string): string {
  if (id.length * 3 <= MAX_ID_BYTES || Buffer.byteLength(id) <= MAX_ID_BYTES) return id;
  return `\\#${createHash('sha256').update(id).digest('hex')}`;
}
