import { expect, test } from 'vitest';
import { createTestTopics, kafkaBrokers, testKafka } from './kafka.ts';

test('reads what is committed, in order, and deletes its topics', async () => {
  let prefix: string;
  {
    await using topics = await createTestTopics();
    ({ prefix } = topics);
    const topic = await topics.create('orders', { numPartitions: 2 });
    expect(await topics.read(topic)).toEqual([]);
    const producer = topics.kafka.producer({
      transactionalId: topics.name('writer'),
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await producer.connect();
    for (const [outcome, values] of [
      ['commit', ['a', 'b']],
      ['abort', ['lost']],
      ['commit', ['c']],
    ] as const) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: values.map((value) => ({ partition: 0, value })) });
      await transaction.send({ topic, messages: [{ partition: 1, value: outcome }] });
      await transaction[outcome]();
    }
    const open = await producer.transaction();
    await open.send({ topic, messages: [{ partition: 0, value: 'open' }] });
    const records = await topics.read(topic);
    expect(records.map(({ partition, value }) => `${partition} ${value}`)).toEqual([
      '0 a',
      '0 b',
      '0 c',
      '1 commit',
      '1 commit',
    ]);
    await open.abort();
    await producer.disconnect();
  }
  const admin = testKafka(kafkaBrokers()).admin();
  await admin.connect();
  expect((await admin.listTopics()).filter((topic) => topic.startsWith(prefix))).toEqual([]);
  await admin.disconnect();
});
