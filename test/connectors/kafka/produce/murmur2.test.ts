import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { murmur2, partitionOf } from '../../../../connectors/kafka/produce/murmur2.ts';

/** Key bytes, hash, partition of 4, of 7 and of 100: printed by org.apache.kafka.common.utils.Utils of kafka-clients 4.3.1. */
const JAVA: readonly (readonly [hex: string, hash: number, of4: number, of7: number, of100: number])[] = [
  ['', 275646681, 1, 2, 81],
  ['61', -1563381124, 0, 5, 24],
  ['6162', 316155434, 2, 0, 34],
  // These six are also the vectors of Kafka's own UtilsTest.
  ['616263', 479470107, 3, 4, 7],
  ['3231', -973932308, 0, 3, 40],
  ['666f6f626172', -790332482, 2, 0, 66],
  ['612d6c6974746c652d6269742d6c6f6e672d737472696e67', -985981536, 0, 1, 12],
  ['612d6c6974746c652d6269742d6c6f6e6765722d737472696e67', -1486304829, 3, 0, 19],
  [
    '6c6b6a683233346c68396669756839307932336f697568736166756a6861646f66323239706872396831396838396838',
    -58897971,
    1,
    3,
    77,
  ],
  ['7b226964223a317d', -56768732, 0, 3, 16],
  ['7b226964223a347d', -458274516, 0, 2, 32],
  ['7b226964223a393030373139393235343734303939337d', 799181182, 2, 2, 82],
  ['7b2274656e616e74223a22c3a9222c226964223a2d377d', -1312708360, 0, 4, 88],
  ['7b226964223a22f09f9880227d', -978883435, 1, 4, 13],
  ['73686f702f6576656e7473', -1734807311, 1, 3, 37],
  ['99', 1288378381, 1, 3, 81],
  ['1834', -1042682160, 0, 0, 88],
  ['5a94c9', -313141582, 2, 4, 66],
  ['390b7702', 612225306, 2, 0, 6],
  ['09d32a595d', 99467382, 2, 0, 82],
  ['41f4b3e592471a', -525456804, 0, 4, 44],
  ['05194bb55dcab391', -356129997, 3, 3, 51],
  ['0016175aa147e1f3e98ee81edf7fae40', -688685700, 0, 6, 48],
  ['bfe793d9fced52b202e34d15e5c4caaf166fc2edcea4fb1b65e240a4e944b31d07', 480864241, 1, 4, 41],
];

describe('murmur2', () => {
  test.each(JAVA)('%s hashes as in Java', (hex, hash, of4, of7, of100) => {
    const key = Buffer.from(hex, 'hex');
    expect(murmur2(key)).toBe(hash);
    expect([partitionOf(hash, 4), partitionOf(hash, 7), partitionOf(hash, 100)]).toEqual([of4, of7, of100]);
  });

  test('a range of a larger buffer hashes as the bytes alone', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.uint8Array({ maxLength: 9 }),
        fc.uint8Array({ maxLength: 9 }),
        (key, before, after) => {
          const around = Buffer.concat([before, key, after]);
          expect(murmur2(around, before.length, before.length + key.length)).toBe(murmur2(key));
        },
      ),
    );
  });

  test('every hash gives a partition there is', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 10_000 }), (hash, partitions) => {
        const partition = partitionOf(hash, partitions);
        expect(partition).toBeGreaterThanOrEqual(0);
        expect(partition).toBeLessThan(partitions);
      }),
    );
  });
});
