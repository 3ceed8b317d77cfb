import { ConfigResourceTypes } from 'kafkajs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { murmur2, partitionOf } from '../../../connectors/kafka/produce/murmur2.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { createTestTopics, type TestTopics } from '../../support/kafka.ts';
import { EventScript, relation } from '../batch-builder.ts';
import {
  batchCodecs,
  createTopic,
  KafkaRig,
  MovableClock,
  orders,
  type RigOptions,
  readCommitted,
} from './rig.ts';

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

describe.each([false, true])('the position (exactly_once: %s)', (exactlyOnce) => {
  const config = { exactly_once: exactlyOnce };

  test('is read back by the next instance, also when it only moved over foreign events', async () => {
    const script = new EventScript();
    script.transaction((tx) => tx.insert(orders, { id: '1', note: 'a' }));
    {
      await using sink = rig({ config });
      await sink.open();
      const { durable } = await sink.deliver(script);
      expect(durable).toEqual(exactlyOnce ? script.end : undefined);
      expect(await sink.flush()).toEqual(script.end);
    }
    script.transaction((tx) => tx.insert(orders, { id: '2', note: 'b' }));
    {
      await using sink = rig({ config });
      expect(await sink.open()).toEqual(script.batch({ transactions: 1 }).to);
      // A progress batch: no items, the checkpoint alone.
      await sink.sink.write({ ...script.batch(), count: 0 }, sink.signal);
      await sink.flush();
    }
    await using sink = rig({ config });
    expect(await sink.open()).toEqual(script.end);
    expect(await readCommitted(topics, topics.name('public.orders'), 1)).toHaveLength(1);
  });

  test('of another database is refused', async () => {
    const script = new EventScript();
    script.transaction((tx) => tx.insert(orders, { id: '1', note: 'a' }));
    {
      await using sink = rig({ config });
      await sink.open();
      await sink.deliver(script);
      await sink.flush();
    }
    await using sink = rig({ config, context: { source: '1/2#1' } });
    await expect(sink.open()).rejects.toMatchObject({
      code: 'E_SINK_FOREIGN',
      retriable: false,
      message: expect.stringContaining(script.source) as string,
    });
  });

  test('is found among thousands of records of other sinks, and where the key was before partitions were added', async () => {
    const script = new EventScript();
    script.transaction((tx) => tx.insert(orders, { id: '1', note: 'a' }));
    const positions = topics.name('positions');
    await createTopic(topics, 'positions', {
      numPartitions: 1,
      configEntries: [{ name: 'cleanup.policy', value: 'compact' }],
    });
    {
      await using sink = rig({ config });
      await sink.open();
      await sink.deliver(script);
      await sink.flush();
    }
    const producer = topics.kafka.producer({ allowAutoTopicCreation: false });
    await producer.connect();
    for (let i = 0; i < 6; i++) {
      await producer.send({
        topic: positions,
        messages: Array.from({ length: 1500 }, () => ({ key: 'other/sink', value: '{"kind":"position"}' })),
      });
    }
    await producer.disconnect();
    {
      await using sink = rig({ config });
      expect(await sink.open()).toEqual(script.end);
    }
    await topics.admin.createPartitions({ topicPartitions: [{ topic: positions, count: 50 }] });
    await using sink = rig({ config });
    expect(await sink.open()).toEqual(script.end);
  });

  test('cannot be kept in a topic that forgets', async () => {
    await createTopic(topics, 'positions', { configEntries: [{ name: 'cleanup.policy', value: 'delete' }] });
    await using sink = rig({ config });
    await expect(sink.open()).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      fix: expect.stringContaining('--add-config cleanup.policy=compact') as string,
    });
  });
});

describe('topics', () => {
  test('are created to policy', async () => {
    await using sink = rig({
      config: {
        topics: {
          partitions: 3,
          replication_factor: 1,
          config: { 'cleanup.policy': 'compact', 'retention.ms': 1000 },
        },
      },
    });
    await sink.open();
    const { topic } = await sink.route(orders);
    expect(topic).toMatchObject({ topic: topics.name('public.orders'), partitions: 3 });
    const { resources } = await topics.admin.describeConfigs({
      includeSynonyms: false,
      resources: [
        {
          type: ConfigResourceTypes.TOPIC,
          name: topic.topic,
          configNames: ['cleanup.policy', 'retention.ms'],
        },
      ],
    });
    expect(resources[0]?.configEntries.map(({ configValue }) => configValue).sort()).toEqual([
      '1000',
      'compact',
    ]);
  });

  test('that are missing are named with the command that creates them', async () => {
    await createTopic(topics, 'positions', { configEntries: [{ name: 'cleanup.policy', value: 'compact' }] });
    await using sink = rig({ config: { topics: { create: false, partitions: 6, replication_factor: 3 } } });
    await sink.open();
    await expect(sink.route(orders)).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      fix: `kafka-topics.sh --bootstrap-server ${topics.brokers[0]} --create --topic ${topics.name('public.orders')} --partitions 6 --replication-factor 3`,
    });
  });

  test('a positions topic that is missing is named as well', async () => {
    await using sink = rig({ config: { topics: { create: false } } });
    await expect(sink.open()).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      fix: expect.stringContaining('--config cleanup.policy=compact') as string,
    });
  });

  test('that cannot be created say why', async () => {
    await using sink = rig({ config: { topics: { replication_factor: 5 } } });
    await expect(sink.open()).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      message: expect.stringContaining('INVALID_REPLICATION_FACTOR') as string,
    });
  });

  test('that are compacted are refused for a table without a key', async () => {
    const keyless = relation({ table: 'notes', columns: { text: 'text' } });
    await createTopic(topics, 'public.notes', {
      configEntries: [{ name: 'cleanup.policy', value: 'compact' }],
    });
    await using sink = rig();
    await sink.open();
    await expect(sink.route(keyless)).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      message: expect.stringContaining('without a key') as string,
    });
  });

  test.each([false, true])(
    'deleted while they are written to are created again (exactly_once: %s)',
    async (exactlyOnce) => {
      await using sink = rig({ config: { exactly_once: exactlyOnce } });
      await sink.open();
      const script = new EventScript();
      script.transaction((tx) => tx.insert(orders, { id: '1', note: 'gone' }));
      await sink.deliver(script);
      const topic = topics.name('public.orders');
      await topics.admin.deleteTopics({ topics: [topic] });
      script.transaction((tx) => tx.insert(orders, { id: '2', note: 'kept' }));
      await sink.deliver(script);
      const records = await readCommitted(topics, topic, 1);
      expect(records.map(({ key }) => `${key}`)).toEqual(['{"id":2}']);
    },
  );

  test.each([false, true])('the positions topic too (exactly_once: %s)', async (exactlyOnce) => {
    const config = { exactly_once: exactlyOnce };
    const script = new EventScript();
    {
      await using sink = rig({ config });
      await sink.open();
      script.transaction((tx) => tx.insert(orders, { id: '1', note: 'a' }));
      await sink.deliver(script);
      await sink.flush();
      await topics.admin.deleteTopics({ topics: [topics.name('positions')] });
      script.transaction((tx) => tx.insert(orders, { id: '2', note: 'b' }));
      await sink.deliver(script);
      expect(await sink.flush()).toEqual(script.end);
    }
    await using sink = rig({ config });
    expect(await sink.open()).toEqual(script.end);
    expect(await readCommitted(topics, topics.name('public.orders'), 2)).toHaveLength(2);
  });
});

describe('a change of the number of partitions', () => {
  const insert = (script: EventScript, ids: readonly number[]): void => {
    script.transaction((tx) => {
      for (const id of ids) tx.insert(orders, { id: `${id}`, note: 'x' });
    });
  };
  const ids = Array.from({ length: 40 }, (_, i) => i);

  /** Delivers, adds partitions, delivers again by the same sink (its clock moved on) or by the next; returns partitions by key. */
  const deliverAround = async (
    change: string,
    restart: boolean,
  ): Promise<{
    readonly partitionsOf: ReadonlyMap<string, ReadonlySet<number>>;
    readonly warnings: readonly string[];
  }> => {
    const warnings: string[] = [];
    const clock = new MovableClock();
    const logger = { ...silentLogger, warn: (_: object, message: string) => void warnings.push(message) };
    const options = {
      config: { topics: { partitions: 2, partition_change: change } },
      context: { clock, logger },
    };
    const topic = topics.name('public.orders');
    const script = new EventScript();
    insert(script, ids);
    let sink = rig(options);
    try {
      await sink.open();
      await sink.deliver(script);
      await sink.flush();
      await topics.admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
      if (restart) {
        await sink[Symbol.asyncDispose]();
        sink = rig(options);
        await sink.open();
      } else {
        clock.aheadMs += 61_000;
      }
      insert(script, ids);
      await sink.deliver(script);
      await sink.flush();
    } finally {
      await sink[Symbol.asyncDispose]();
    }
    const partitionsOf = new Map<string, Set<number>>();
    for (const { key, partition } of await readCommitted(topics, topic, 80)) {
      partitionsOf.set(`${key}`, (partitionsOf.get(`${key}`) ?? new Set()).add(partition));
    }
    return { partitionsOf, warnings };
  };

  test.each([false, true])('keep: keys stay where they are (restart: %s)', async (restart) => {
    const { partitionsOf, warnings } = await deliverAround('keep', restart);
    expect([...partitionsOf.values()].every((partitions) => partitions.size === 1)).toBe(true);
    expect(warnings.filter((text) => text.includes('had 2 partitions and has 5'))).toHaveLength(1);
  });

  test.each([false, true])('follow: keys are spread anew (restart: %s)', async (restart) => {
    const { partitionsOf, warnings } = await deliverAround('follow', restart);
    expect([...partitionsOf.values()].some((partitions) => partitions.size === 2)).toBe(true);
    expect(new Set([...partitionsOf.values()].flatMap((partitions) => [...partitions])).size).toBe(5);
    expect(warnings.filter((text) => text.includes('had 2 partitions and has 5'))).toHaveLength(1);
  });

  test.each([false, true])('stop: an error names it (restart: %s)', async (restart) => {
    await expect(deliverAround('stop', restart)).rejects.toMatchObject({
      code: 'E_SINK_CONFIG',
      retriable: false,
      message: expect.stringContaining('had 2 partitions and has 5') as string,
    });
  });
});
