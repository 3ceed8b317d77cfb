import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  assertSpacing,
  lastSeqOfPiece,
  PIECES,
  pieceOf,
  versionOf,
} from '../../../../connectors/elasticsearch/documents/versions.ts';

test('events of a transaction fall into pieces in order, 0 to 31, that end where they say', () => {
  fc.assert(
    fc.property(
      fc
        .integer({ min: 1, max: 2 ** 31 })
        .chain((count) => fc.tuple(fc.constant(count), fc.integer({ min: 1, max: count }))),
      ([count, seq]) => {
        const piece = pieceOf(seq, count);
        expect(piece).toBeGreaterThanOrEqual(0);
        expect(piece).toBeLessThan(PIECES);
        const last = lastSeqOfPiece(piece, count);
        expect(last).toBeGreaterThanOrEqual(seq);
        expect(pieceOf(last, count)).toBe(piece);
        if (last < count) expect(pieceOf(last + 1, count)).toBeGreaterThan(piece);
      },
    ),
  );
});

test('an event outside its transaction is a defect', () => {
  expect(() => pieceOf(0, 3)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
  expect(() => pieceOf(4, 3)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
});

test('versions fill 63 bits and no more', () => {
  expect(versionOf(2n ** 63n - 32n, 31)).toBe(2n ** 63n - 1n);
  expect(() => versionOf(2n ** 63n - 31n, 31)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
});

test('commits nearer than a transaction’s versions, or out of order, are a defect', () => {
  expect(() => assertSpacing(1000n, 1032n)).not.toThrow();
  expect(() => assertSpacing(1000n, 1000n)).not.toThrow();
  expect(() => assertSpacing(1000n, 1031n)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
  expect(() => assertSpacing(1000n, 900n)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
});
