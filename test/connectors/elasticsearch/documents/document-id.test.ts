import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  fittingId,
  idOfKey,
  MAX_ID_BYTES,
} from '../../../../connectors/elasticsearch/documents/document-id.ts';

test('ids read as their keys where they can', () => {
  expect(idOfKey(['17'])).toBe('17');
  expect(idOfKey(['a:b'])).toBe('a:b');
  expect(idOfKey(['de', '17'])).toBe('de:17');
  expect(idOfKey(['a:b', 'c\\'])).toBe('a\\:b:c\\\\');
  expect(idOfKey([''])).toBe('\\0');
  expect(idOfKey(['', ''])).toBe(':');
});

const part = fc.oneof(
  fc.string({ maxLength: 4 }),
  fc.constantFrom('', ':', '\\', '\\0', '\\#', 'a:b', '\\:'),
);
/** Rows of one table have the same number of key columns. */
const keys = fc
  .integer({ min: 1, max: 3 })
  .chain((columns) =>
    fc.tuple(
      fc.array(part, { minLength: columns, maxLength: columns }),
      fc.array(part, { minLength: columns, maxLength: columns }),
    ),
  );

test('no two keys share an id, and none is empty', () => {
  fc.assert(
    fc.property(keys, ([a, b]) => {
      expect(idOfKey(a)).not.toBe('');
      expect(idOfKey(a) === idOfKey(b)).toBe(a.every((value, i) => value === b[i]));
    }),
  );
});

test('an id that is too long becomes a marked digest, the same one every time, and nobody else’s', () => {
  const long = 'ü'.repeat(257);
  expect(fittingId('x'.repeat(MAX_ID_BYTES))).toBe('x'.repeat(MAX_ID_BYTES));
  expect(fittingId('ü'.repeat(256))).toBe('ü'.repeat(256));
  expect(fittingId(long)).toMatch(/^\\#[0-9a-f]{64}$/);
  expect(fittingId(long)).toBe(fittingId(long));
  expect(fittingId(`${long}x`)).not.toBe(fittingId(long));
  // A key whose text looks like a digest keeps an id of its own.
  expect(idOfKey([fittingId(long)])).not.toBe(fittingId(long));
});
