import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { murmur2, partitionOf } from '../../../connectors/kafka/produce/murmur2.ts';
import { createTestTopics, type TestTopics } from '../../support/kafka.ts';
import { EventScript, relation } from '../batch-builder.ts';
import { batchCodecs, KafkaRig, orders, type RigOptions } from './rig.ts';

let topics: TestTopics;
beforeEach(async () => {
  topics = await createTestTopics();
});
afterEach(async () => {
  await topics[Symbol.asyncDispose]();
});

const rig = (options: Omit<RigOptions, 'brokers' | 'prefix'> = {}): KafkaRig =>
  new KafkaRig({ brokers: topics.brokers, prefix: topics.prefix, ...options });

describe('records', () => {
  test('have key, value, headers and the commit time; a delete has its tombstone', async () => {
    await using sink = rig();
    expect(await sink.open()).toBeUndefined();
    const script = new EventScript({ commitTimeUs: 1_700_000_000_123_456n });
    script.transaction((tx) => tx.insert(orders, { id: '9007199254740993', note: 'größer' }));
    script.transaction((tx) => tx.delete(orders, { id: '9007199254740993' }));
    const result = await sink.deliver(script);
    expect(result).toMatchObject({ accepted: script.end, rejected: [] });

    const [insert, del, tombstone, ...rest] = await topics.read(topics.name('public.orders'));
    expect(rest).toEqual([]);
    expect(insert?.key?.toString()).toBe('{"id":9007199254740993}');
    const value = JSON.parse(insert?.value?.toString() ?? '') as { op: string; after: { note: string } };
    expect(value).toMatchObject({ op: 'c', after: { note: 'größer' } });
    expect(insert?.timestamp).toBe('1700000000124');
    expect(insert?.headers?.['__debezium.context.connectorName']?.toString()).toBe('postgresql');
    expect(JSON.parse(del?.value?.toString() ?? '')).toMatchObject({ op: 'd' });
    expect(tombstone).toMatchObject({ key: insert?.key, value: null, timestamp: '1700000000125' });
  });

  test('are in the partitions Java would choose, keyless ones all in one', async () => {
    const keyless = relation({ table: 'notes', columns: { text: 'text' } });
    await using sink = rig({ config: { topics: { partitions: 7 } } });
    await sink.open();
    const script = new EventScript();
    script.transaction((tx) => {
      for (let id = 0; id < 100; id++) {
        tx.insert(orders, { id: `${id}`, note: 'x' });
        tx.insert(keyless, { text: `${id}` });
      }
    });
    await sink.deliver(script);
    const records = await topics.read(topics.name('public.orders'));
    expect(records).toHaveLength(100);
    for (const { key, partition } of records) {
      expect(partition, key?.toString()).toBe(partitionOf(murmur2(key as Buffer), 7));
    }
    expect(new Set(records.map(({ partition }) => partition)).size).toBe(7);
    const notes = await topics.read(topics.name('public.notes'));
    expect(notes.map(({ key }) => key)).toEqual(Array(100).fill(null));
    expect(new Set(notes.map(({ partition }) => partition)).size).toBe(1);
    expect(
      notes.map(({ value }) => (JSON.parse(`${value}`) as { after: { text: string } }).after.text),
    ).toEqual(Array.from({ length: 100 }, (_, i) => `${i}`));
  });

  test.each([
    ['none', 0],
    ['gzip', 1],
    ['zstd', 4],
  ])('compressed with %s keep their order and content', async (compression, codec) => {
    await using sink = rig({
      config: {
        compression,
        batch: { partition_bytes: '8KiB', request_bytes: '20KiB' },
        topics: { partitions: 2 },
      },
      mapping: { format: 'plain' },
    });
    await sink.open();
    const script = new EventScript();
    for (let i = 0; i < 500; i++) {
      script.transaction((tx) => tx.insert(orders, { id: `${i % 20}`, note: `${i} ${'x'.repeat(i)}` }));
    }
    expect((await sink.deliver(script)).rejected).toEqual([]);
    const topic = topics.name('public.orders');
    const records = await topics.read(topic);
    expect(records).toHaveLength(500);
    for (const [key, ones] of Map.groupBy(records, (record) => `${record.key}`)) {
      const notes = ones.map(({ value }) => (JSON.parse(`${value}`) as { note: string }).note);
      expect(notes, key).toHaveLength(25);
      const numbers = notes.map((note) => Number(note.split(' ')[0]));
      expect(numbers, key).toEqual(numbers.toSorted((a, b) => a - b));
      expect(notes.every((note, i) => note.endsWith(` ${'x'.repeat(numbers[i] as number)}`))).toBe(true);
    }
    const codecs = await batchCodecs(topics.brokers, topic, 0);
    expect(codecs.length).toBeGreaterThan(2);
    expect(new Set(codecs)).toEqual(new Set([codec]));
  });
});
