import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codecOf, decompress } from '../../../../connectors/kafka/produce/compression.ts';
import {
  type PartitionRecords,
  RecordWindow,
  recordBytes,
} from '../../../../connectors/kafka/produce/record-window.ts';
import { crc32c } from '../../../../connectors/kafka/wire/crc32c.ts';
import { readBatches } from '../../../../connectors/kafka/wire/record-batch-reader.ts';
import { writeBatch, writeRecords } from '../../../../connectors/kafka/wire/record-batch-writer.ts';
import { WireReader } from '../../../../connectors/kafka/wire/wire-reader.ts';
import { varintBytes, WireWriter } from '../../../../connectors/kafka/wire/wire-writer.ts';
import type { RecordHeader } from '../../../../src/events/formats/contract.ts';

const require = createRequire(import.meta.url);
// The other implementation at hand.
const KafkajsDecoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => object;
const decodeByKafkajs = require('kafkajs/src/protocol/recordBatch/v0/decoder') as (
  decoder: object,
) => Promise<KafkajsBatch>;
const crcByKafkajs = require('kafkajs/src/protocol/recordBatch/crc32C') as (bytes: Buffer) => number;

interface KafkajsBatch {
  readonly producerId: string;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly inTransaction: boolean;
  readonly lastOffsetDelta: number;
  readonly records: readonly {
    readonly key: Buffer | null;
    readonly value: Buffer | null;
    readonly offset: string;
    readonly timestamp: string;
    readonly headers: Readonly<Record<string, Buffer>>;
  }[];
}

interface Record_ {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
  readonly timestampMs: number;
}

const bytes = fc.uint8Array({ maxLength: 300 });
const record: fc.Arbitrary<Record_> = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.uniqueArray(
    fc.record({
      // kafkajs keeps headers in an object.
      key: fc.string({ minLength: 1 }).filter((key) => !(key in {})),
      value: bytes.map((value) => Buffer.from(value)),
    }),
    { maxLength: 3, selector: ({ key }) => key },
  ),
  timestampMs: fc.oneof(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: 1.7e12, max: 1.7e12 + 5 })),
});
const recordList = fc.array(record, { minLength: 1, maxLength: 30 });

function windowOf(records: readonly Record_[]): PartitionRecords {
  const window = new RecordWindow(Number.MAX_SAFE_INTEGER);
  const target = { topic: 't', partitionBytes: Number.MAX_SAFE_INTEGER };
  for (const [item, { key, value, headers, timestampMs }] of records.entries()) {
    const keyStart = window.out.length;
    if (key !== null) window.out.bytes(key);
    const valueStart = window.out.length;
    if (value !== null) window.out.bytes(value);
    const valueEnd = window.out.length;
    window.add({
      target,
      partition: 0,
      item,
      keyStart,
      keyEnd: key === null ? -1 : valueStart,
      valueStart,
      valueEnd: value === null ? -1 : valueEnd,
      headers,
      timestampMs,
      bytes: recordBytes(valueStart - keyStart, valueEnd - valueStart, headers),
    });
  }
  return window.partitions()[0] as PartitionRecords;
}

const identity = {
  producerId: 9_007_199_254_740_993n,
  producerEpoch: 7,
  baseSequence: 2_147_483_647,
  transactional: true,
};

const buffer = (given: Uint8Array | null): Buffer | null => (given === null ? null : Buffer.from(given));

describe('a record batch', () => {
  test('is what kafkajs reads', async () => {
    await fc.assert(
      fc.asyncProperty(recordList, async (records) => {
        const out = new WireWriter(16);
        writeBatch(out, windowOf(records), identity);
        const batch = await decodeByKafkajs(new KafkajsDecoder(out.copy()));
        expect(batch).toMatchObject({
          producerId: '9007199254740993',
          producerEpoch: 7,
          firstSequence: 2_147_483_647,
          inTransaction: true,
          lastOffsetDelta: records.length - 1,
        });
        expect(
          batch.records.map(({ key, value, headers, timestamp, offset }) => ({
            key,
            value,
            headers,
            timestamp,
            offset,
          })),
        ).toEqual(
          records.map(({ key, value, headers, timestampMs }, i) => ({
            key: buffer(key),
            value: buffer(value),
            headers: Object.fromEntries(headers.map((header) => [header.key, header.value])),
            timestamp: `${timestampMs}`,
            offset: `${i}`,
          })),
        );
      }),
    );
  });

  test.each(['none', 'gzip', 'zstd'] as const)('reads back (%s)', async (compression) => {
    const codec = codecOf(compression);
    await fc.assert(
      fc.asyncProperty(fc.array(recordList, { minLength: 1, maxLength: 3 }), async (batches) => {
        const out = new WireWriter();
        for (const records of batches.map(windowOf)) {
          const section = new WireWriter();
          writeRecords(section, records);
          const compressed =
            codec === undefined
              ? undefined
              : { code: codec.code, records: await codec.compress(section.view()) };
          writeBatch(out, records, identity, compressed);
        }
        const read = await readBatches(out.copy(), decompress);
        expect(
          read.map(({ records }) =>
            records.map(({ key, value, timestampMs }) => ({ key, value, timestampMs })),
          ),
        ).toEqual(
          batches.map((records) =>
            records.map(({ key, value, timestampMs }) => ({
              key: buffer(key),
              value: buffer(value),
              timestampMs,
            })),
          ),
        );
        expect(
          read.map(({ producerId, transactional, control }) => ({ producerId, transactional, control })),
        ).toEqual(
          batches.map(() => ({ producerId: identity.producerId, transactional: true, control: undefined })),
        );
      }),
      { numRuns: 30 },
    );
  });

  test('takes no more than is reckoned with', () => {
    fc.assert(
      fc.property(recordList, (records) => {
        const partition = windowOf(records);
        const out = new WireWriter();
        writeRecords(out, partition);
        expect(out.length).toBeLessThanOrEqual(partition.bytes);
      }),
    );
  });

  test('that is damaged is refused, one that is cut off is left for the next fetch', async () => {
    const out = new WireWriter();
    writeBatch(
      out,
      windowOf([{ key: Buffer.from('k'), value: Buffer.from('value'), headers: [], timestampMs: 1 }]),
      identity,
    );
    const whole = out.copy();
    for (let length = 0; length < whole.length; length++) {
      expect(await readBatches(whole.subarray(0, length), decompress)).toEqual([]);
    }
    const damaged = Buffer.from(whole);
    damaged[whole.length - 3] = (damaged[whole.length - 3] as number) ^ 0x40;
    await expect(readBatches(damaged, decompress)).rejects.toThrow('damaged');
  });
});

test('crc32c has its published check value, and is what kafkajs computes', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe306_9283);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (given) => {
      expect(crc32c(given)).toBe(crcByKafkajs(Buffer.from(given)));
    }),
  );
});

describe('varints', () => {
  test('read back, over the whole range of exact numbers', () => {
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeInteger(), fc.integer(), fc.integer({ min: -70, max: 70 })), (value) => {
        const out = new WireWriter(1);
        out.varint(value);
        const reader = new WireReader(out.copy());
        expect(reader.varint()).toBe(value);
        expect(reader.remaining).toBe(0);
      }),
    );
  });

  test('take as many bytes as is said', () => {
    for (let bit = 0; bit < 30; bit++) {
      for (const value of [2 ** bit - 1, 2 ** bit]) {
        const out = new WireWriter();
        out.varint(value);
        expect(varintBytes(value), `${value}`).toBe(out.length);
      }
    }
  });
});
