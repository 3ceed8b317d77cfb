import { randomBytes } from 'node:crypto';
import { ConfigResourceTypes, type KafkaJSProtocolError } from 'kafkajs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createTestTopics, type TestTopics, type TopicRecord } from '../../support/kafka.ts';
import { waitFor } from '../../support/wait.ts';
import { EventScript, relation } from '../batch-builder.ts';
import { createTopic, KafkaRig, orders, readCommitted } from './rig.ts';

let topics: TestTopics;
beforeEach(async () => {
  topics = await createTestTopics();
});
afterEach(async () => {
  await topics[Symbol.asyncDispose]();
});

const notes = relation({ table: 'notes', columns: { text: 'text' } });

const rig = (config: Record<string, unknown>, mapping: Record<string, unknown> = {}): KafkaRig =>
  new KafkaRig({
    brokers: topics.brokers,
    prefix: topics.prefix,
    config,
    mapping: { topic: '{pipeline}.all', format: 'plain', ...mapping },
  });

/** Changes a setting behind the sink's back, and waits until the broker refuses the probe because of it. */
const setTopic = async (
  topic: string,
  setting: { name: string; value: string },
  probe: { key: string | null; value: string },
): Promise<void> => {
  await topics.admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [setting] }],
  });
  const producer = topics.kafka.producer({ retry: { retries: 0 } });
  await producer.connect();
  await waitFor(async () => {
    try {
      await producer.send({ topic, messages: [probe] });
      return false;
    } catch (error) {
      return ['MESSAGE_TOO_LARGE', 'INVALID_RECORD'].includes((error as KafkaJSProtocolError).type);
    }
  });
  await producer.disconnect();
};

/** Of our records, not of probes. */
const idsOf = (records: readonly TopicRecord[]): number[] =>
  records.map(({ value }) => Number((JSON.parse(`${value}`) as { id: number }).id)).sort((a, b) => a - b);

const isOurs = ({ value }: TopicRecord): boolean => `${value}`.startsWith('{');

describe.each([false, true])('exactly_once: %s', (exactlyOnce) => {
  const base = { exactly_once: exactlyOnce, topics: { partitions: 3 } };

  test('a record above the limit of its topic is refused with its size, without asking the broker', async () => {
    const topic = await createTopic(topics, 'all', {
      numPartitions: 3,
      configEntries: [{ name: 'max.message.bytes', value: '20000' }],
    });
    await using sink = rig(base);
    await sink.open();
    const script = new EventScript();
    for (let id = 0; id < 30; id++) {
      script.transaction((tx) =>
        tx.insert(orders, { id: `${id}`, note: 'x'.repeat(id === 17 ? 25_000 : 3000) }),
      );
    }
    const { rejected, accepted } = await sink.deliver(script);
    expect(rejected).toEqual([
      {
        item: 17,
        reason: 'RECORD_TOO_LARGE',
        detail: expect.stringContaining(`topic ${topic} takes up to`) as string,
      },
    ]);
    expect(rejected[0]?.detail).toMatch(/the record has 250\d\d bytes/);
    expect(accepted).toEqual(script.end);
    await sink.flush();
    expect(idsOf(await readCommitted(topics, topic, 29, isOurs))).toEqual(
      [...Array(30).keys()].filter((id) => id !== 17),
    );
  });

  test('a record the broker finds too large is singled out; the others of its batch arrive in order', async () => {
    const topic = await createTopic(topics, 'all', { numPartitions: 3 });
    await using sink = rig(base);
    await sink.open();
    await sink.route(orders);
    // Behind our back: what we know of the topic says it would fit.
    await setTopic(
      topic,
      { name: 'max.message.bytes', value: '9000' },
      { key: 'probe', value: 'x'.repeat(10_000) },
    );
    const script = new EventScript();
    for (let id = 0; id < 60; id++) {
      script.transaction((tx) =>
        tx.insert(orders, { id: `${id}`, note: 'x'.repeat(id === 41 ? 12_000 : 900) }),
      );
    }
    const { rejected } = await sink.deliver(script);
    expect(rejected).toMatchObject([{ item: 41, reason: 'RECORD_TOO_LARGE' }]);
    await sink.flush();
    const records = await readCommitted(topics, topic, 59, isOurs);
    expect(idsOf(records)).toEqual([...Array(60).keys()].filter((id) => id !== 41));
    for (const ones of Map.groupBy(records, ({ partition }) => partition).values()) {
      const ids = ones.map(({ key }) => Number(/\d+/.exec(`${key}`)?.[0]));
      expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    }
  });

  test('with compression only the broker knows: a record that compresses well passes', async () => {
    const topic = await createTopic(topics, 'all', {
      configEntries: [{ name: 'max.message.bytes', value: '9000' }],
    });
    await using sink = rig({ ...base, compression: 'zstd' });
    await sink.open();
    const script = new EventScript();
    script.transaction((tx) => tx.insert(orders, { id: '1', note: 'x'.repeat(100_000) }));
    script.transaction((tx) => tx.insert(orders, { id: '2', note: randomBytes(30_000).toString('base64') }));
    const { rejected } = await sink.deliver(script);
    expect(rejected).toMatchObject([{ item: 1, reason: 'RECORD_TOO_LARGE' }]);
    await sink.flush();
    expect(idsOf(await readCommitted(topics, topic, 1, isOurs))).toEqual([1]);
  });

  test('records the broker finds invalid are singled out', async () => {
    const topic = await createTopic(topics, 'all', { numPartitions: 1 });
    await using sink = rig(base);
    await sink.open();
    await sink.route(orders);
    await sink.route(notes);
    // From now on it takes no record without a key.
    await setTopic(topic, { name: 'cleanup.policy', value: 'compact' }, { key: null, value: 'probe' });
    const script = new EventScript();
    script.transaction((tx) => {
      for (let id = 0; id < 20; id++) {
        if (id % 7 === 3) tx.insert(notes, { text: 'no key' });
        else tx.insert(orders, { id: `${id}`, note: 'x' });
      }
    });
    const { rejected } = await sink.deliver(script);
    expect(rejected.map(({ item, reason }) => [item, reason])).toEqual([
      [3, 'INVALID_RECORD'],
      [10, 'INVALID_RECORD'],
      [17, 'INVALID_RECORD'],
    ]);
    await sink.flush();
    expect(idsOf(await readCommitted(topics, topic, 17, isOurs))).toEqual(
      [...Array(20).keys()].filter((id) => id % 7 !== 3),
    );
  });
});

test('an event that the format cannot express is refused by itself', async () => {
  const prices = relation({ table: 'prices', columns: { id: 'int8', price: 'numeric' }, key: ['id'] });
  await using sink = rig({}, { format: 'debezium' });
  await sink.open();
  const script = new EventScript();
  for (const price of ['1.5', 'NaN', '2.5'])
    script.transaction((tx) => tx.insert(prices, { id: price, price }));
  const { rejected } = await sink.deliver(script);
  expect(rejected).toMatchObject([
    { item: 1, reason: 'E_UNSUPPORTED_ROW', detail: expect.stringContaining('"price"') as string },
  ]);
  const keys = (await readCommitted(topics, topics.name('all'), 2)).map(({ key }) => `${key}`);
  expect(keys).toEqual(['{"id":1.5}', '{"id":2.5}']);
});

test('max_record_bytes is a limit of its own', async () => {
  await using sink = rig({ max_record_bytes: '2KiB' });
  await sink.open();
  const script = new EventScript();
  script.transaction((tx) => tx.insert(orders, { id: '1', note: 'x'.repeat(1000) }));
  script.transaction((tx) => tx.insert(orders, { id: '2', note: 'x'.repeat(3000) }));
  expect((await sink.deliver(script)).rejected).toMatchObject([{ item: 1, reason: 'RECORD_TOO_LARGE' }]);
});

test('with exactly_once nothing of a batch is visible until it is known what becomes of its refused records', async () => {
  const topic = await createTopic(topics, 'all', {
    configEntries: [{ name: 'max.message.bytes', value: '9000' }],
  });
  const script = new EventScript();
  for (const note of ['small', 'x'.repeat(20_000), 'small again']) {
    script.transaction((tx) => tx.insert(orders, { id: `${note.length}`, note }));
  }
  {
    await using sink = rig({ exactly_once: true });
    await sink.open();
    const { rejected, durable } = await sink.deliver(script);
    expect(rejected).toHaveLength(1);
    expect(durable).toBeUndefined();
    expect(await topics.read(topic)).toEqual([]);
    // The lane stops and closes the sink: the events come again at the next start.
  }
  expect(await topics.read(topic)).toEqual([]);
  await using sink = rig({ exactly_once: true });
  expect(await sink.open()).toBeUndefined();
  await sink.deliver(script);
  expect(await topics.read(topic)).toEqual([]);
  // The lane has put the refused one aside and goes on.
  expect(await sink.flush()).toEqual(script.end);
  expect(await readCommitted(topics, topic, 2, isOurs)).toHaveLength(2);
});
