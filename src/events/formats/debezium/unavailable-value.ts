import { createHash } from 'node:crypto';
import { jacksonBytes } from '../../values/json-string.ts';
import type { ConnectSchema } from './connect-schema.ts';

/**
 * JSON that stands for an unchanged TOAST value the event does not hold: the placeholder in the form the column's schema allows.
 * Undefined where a schema has no value that could be told from a real one (numeric, bit strings, arrays of floats or times): the
 * member is then left out of the row, for null would say that the value is NULL.
 */
export function unavailableValue(schema: ConnectSchema, placeholder: string): Buffer | undefined {
  const bytes = Buffer.from(placeholder);
  if (schema.type === 'string') return isTime(schema) ? undefined : jacksonBytes(placeholder);
  if (schema.type === 'bytes')
    return schema.name === undefined ? jacksonBytes(bytes.toString('base64')) : undefined;
  if (schema.type !== 'array' || schema.name !== undefined) return undefined;
  const { items } = schema;
  if (items.type === 'string') {
    if (isTime(items)) return undefined;
    return jacksonBytes([items.name === 'io.debezium.data.Uuid' ? nameBasedUuid(bytes) : placeholder]);
  }
  if (items.type === 'bytes')
    return items.name === undefined ? jacksonBytes([bytes.toString('base64')]) : undefined;
  const wholeNumbers =
    (items.type === 'int32' && (items.name === undefined || items.name.endsWith('.Date'))) ||
    (items.type === 'int64' && items.name === undefined);
  return wholeNumbers ? jacksonBytes([...bytes]) : undefined;
}

function isTime(schema: ConnectSchema): boolean {
  return schema.name?.startsWith('io.debezium.time.') === true;
}

/** Java's UUID.nameUUIDFromBytes: version 3 without a namespace. */
function nameBasedUuid(name: Buffer): string {
  const hash = createHash('md5').update(name).digest();
  hash[6] = ((hash[6] as number) & 0x0f) | 0x30;
  hash[8] = ((hash[8] as number) & 0x3f) | 0x80;
  const hex = hash.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
