import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../../src/observe/logger.ts';
import { createTestTopics, type TestTopics } from '../../support/kafka.ts';
import { waitFor } from '../../support/wait.ts';
import { keysOutOfOrder, numberedEvents, numbersOf } from './numbered-events.ts';
import {
  countingMetrics,
  createTopic,
  KafkaRig,
  type RigOptions,
  readCommitted,
  SlowClock,
  writtenRecords,
} from './rig.ts';
import type { WriterOptions } from './writer-process.ts';

let topics: TestTopics;
beforeEach(async () => {
  topics = await createTestTopics();
});
afterEach(async () => {
  await topics[Symbol.asyncDispose]();
});

const rig = (options: Omit<RigOptions, 'brokers' | 'prefix'> = {}): KafkaRig =>
  new KafkaRig({
    brokers: topics.brokers,
    prefix: topics.prefix,
    mapping: { format: 'plain' },
    ...options,
    config: { exactly_once: true, topics: { partitions: 3 }, ...options.config },
  });

const orderTopic = (): string => topics.name('public.orders');

test('pieces of a large source transaction are delivered with a position inside it', async () => {
  const script = numberedEvents({ transactions: 2, eventsEach: 10 });
  {
    await using sink = rig();
    await sink.open();
    const { durable } = await sink.deliver(script, { events: 14 });
    expect(durable).toMatchObject({
      position: { seq: 4 },
      endLsn: script.batch({ transactions: 1 }).to.endLsn,
    });
  }
  await using sink = rig();
  expect(await sink.open()).toMatchObject({ position: { seq: 4 } });
  await sink.deliver(script);
  expect(numbersOf(await readCommitted(topics, orderTopic(), 20)).toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 20 }, (_, i) => i + 1),
  );
});

test('the position moves from at least once to exactly once and back', async () => {
  const script = numberedEvents({ transactions: 3, eventsEach: 2 });
  for (const [i, exactlyOnce] of [false, true, false].entries()) {
    await using sink = rig({ config: { exactly_once: exactlyOnce } });
    const at = await sink.open();
    expect(at).toEqual(i === 0 ? undefined : script.batch({ transactions: i }).to);
    await sink.deliver(script, { transactions: 1 });
    await sink.flush();
  }
  expect(await readCommitted(topics, orderTopic(), 6)).toHaveLength(6);
});

describe('a second instance', () => {
  test('shuts out the first, which says so and writes nothing more', async () => {
    const script = numberedEvents({ transactions: 4, eventsEach: 5 });
    await using first = rig();
    await first.open();
    await first.deliver(script, { transactions: 1 });
    await using second = rig();
    expect(await second.open()).toEqual(script.batch({ transactions: 1 }).to);
    await expect(first.deliver(script, { transactions: 2 })).rejects.toMatchObject({
      code: 'E_FENCED',
      retriable: false,
      exitCode: 6,
    });
    // Asking again does not take it back.
    await expect(first.deliver(script, { transactions: 2 })).rejects.toMatchObject({ code: 'E_FENCED' });
    await second.deliver(script);
    const records = await readCommitted(topics, orderTopic(), 20);
    expect(records).toHaveLength(20);
    expect(keysOutOfOrder(records)).toEqual([]);
  });

  test('that opens in the middle of a transaction leaves nothing of it', async () => {
    const script = numberedEvents({ transactions: 1, eventsEach: 20 });
    // A refused record keeps the transaction open until the lane has decided.
    const tooLarge = numberedEvents({ transactions: 1, eventsEach: 20, noteBytes: 5000 });
    tooLarge.events.splice(0, 19, ...script.events.slice(0, 19));
    await using first = rig({ config: { max_record_bytes: '2KiB' } });
    await first.open();
    expect((await first.deliver(tooLarge)).rejected).toHaveLength(1);
    // Its other records are in the topic.
    expect(await writtenRecords(topics.brokers, orderTopic())).toBe(19);
    await using second = rig();
    expect(await second.open()).toBeUndefined();
    await expect(first.flush()).rejects.toMatchObject({ code: 'E_FENCED' });
    await second.deliver(script);
    const records = await readCommitted(topics, orderTopic(), 20);
    expect(records).toHaveLength(20);
    expect(keysOutOfOrder(records)).toEqual([]);
  });
});

test('opening waits for the open transaction of another sink in the same partition', async () => {
  const positions = await createTopic(topics, 'positions', {
    configEntries: [{ name: 'cleanup.policy', value: 'compact' }],
  });
  const script = numberedEvents({ transactions: 1, eventsEach: 3 });
  {
    await using sink = rig();
    await sink.open();
    await sink.deliver(script);
  }
  const other = topics.kafka.producer({
    transactionalId: topics.name('other'),
    maxInFlightRequests: 1,
    idempotent: true,
  });
  await other.connect();
  const transaction = await other.transaction();
  await transaction.send({ topic: positions, messages: [{ key: 'other/sink', value: '{}' }] });

  const told: string[] = [];
  await using sink = rig({
    context: { logger: { ...silentLogger, info: (_: object, message: string) => void told.push(message) } },
  });
  let opened = false;
  const opening = sink.open().then((checkpoint) => {
    opened = true;
    return checkpoint;
  });
  await waitFor(() => told.some((message) => message.includes('waiting for an open transaction')));
  expect(opened).toBe(false);
  await transaction.abort();
  expect(await opening).toEqual(script.end);
  await other.disconnect();
});

describe('a batch that takes longer than half the transaction time-out', () => {
  const script = numberedEvents({ transactions: 40, eventsEach: 25 });
  const slow = (committed: () => void): RigOptions['context'] => ({
    clock: new SlowClock(),
    metrics: countingMetrics('end', 'committed', committed),
  });
  const config = { transaction_timeout: '2s', batch: { request_bytes: '4KiB' } };

  test('is cut into several transactions', async () => {
    let commits = 0;
    await using sink = rig({ config, context: slow(() => commits++) });
    await sink.open();
    await sink.deliver(script);
    expect(commits).toBeGreaterThan(2);
    const records = await readCommitted(topics, orderTopic(), 1000);
    expect(records).toHaveLength(1000);
    expect(keysOutOfOrder(records)).toEqual([]);
  });

  test('but not behind a refused record', async () => {
    let commits = 0;
    const withLarge = numberedEvents({ transactions: 40, eventsEach: 25 });
    const large = numberedEvents({ transactions: 40, eventsEach: 25, noteBytes: 3000 });
    withLarge.events.splice(2, 1, ...large.events.slice(2, 3));
    {
      await using sink = rig({
        config: { ...config, max_record_bytes: '2KiB' },
        context: slow(() => commits++),
      });
      await sink.open();
      const { rejected, durable } = await sink.deliver(withLarge);
      expect(rejected).toMatchObject([{ item: 2 }]);
      expect(durable).toBeUndefined();
    }
    expect(commits).toBe(0);
    await using sink = rig();
    expect(await sink.open()).toBeUndefined();
  });

  test('and goes on after the last of them', async () => {
    let commits = 0;
    const stop = new Error('stopped on the way');
    {
      await using sink = rig({ config, context: slow(() => ++commits === 2 && sink.abort(stop)) });
      await sink.open();
      await expect(sink.deliver(script)).rejects.toBe(stop);
    }
    await using sink = rig();
    const at = await sink.open();
    expect(at?.endLsn).toBeGreaterThan(0n);
    expect(at?.endLsn).toBeLessThan(script.end.endLsn);
    await sink.deliver(script);
    const records = await readCommitted(topics, orderTopic(), 1000);
    expect(records).toHaveLength(1000);
    expect(keysOutOfOrder(records)).toEqual([]);
  });
});

describe('a process killed on the way, again and again', () => {
  const events = { transactions: 400, eventsEach: 10, noteBytes: 200 };

  const runUntilDone = async (config: Record<string, unknown>, kills: number): Promise<void> => {
    const options: WriterOptions = {
      brokers: topics.brokers,
      prefix: topics.prefix,
      config: { topics: { partitions: 3 }, batch: { request_bytes: '8KiB' }, ...config },
      events,
      batchTransactions: 40,
    };
    for (let left = kills; ; left--) {
      const writer = startWriter(options);
      const lines = createInterface(writer.stdout);
      let writes = 0;
      for await (const line of lines) {
        if (line === 'done') {
          await once(writer, 'exit');
          return;
        }
        // Anywhere from the opening to the end of a batch.
        if (left > 0 && ++writes === 2) {
          setTimeout(() => writer.kill('SIGKILL'), Math.random() * 15);
        }
      }
      if (writer.exitCode !== null && writer.exitCode !== 0)
        throw new Error(`the writer failed: ${writer.exitCode}`);
    }
  };

  test('exactly once: nothing twice, nothing lost, in order', async () => {
    await runUntilDone({ exactly_once: true }, 5);
    const records = await readCommitted(topics, orderTopic(), 4000);
    expect(numbersOf(records).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 4000 }, (_, i) => i + 1),
    );
    expect(keysOutOfOrder(records)).toEqual([]);
  });

  test('at least once: nothing lost, and in order but for repetitions', async () => {
    await runUntilDone({ exactly_once: false }, 3);
    const records = await readCommitted(topics, orderTopic(), 4000);
    const numbers = numbersOf(records);
    expect(new Set(numbers).size).toBe(4000);
    // Without the repetitions, the first sight of each event is in order.
    const seen = new Set<number>();
    const firsts = records.filter((_, i) => {
      const isNew = !seen.has(numbers[i] as number);
      seen.add(numbers[i] as number);
      return isNew;
    });
    expect(keysOutOfOrder(firsts)).toEqual([]);
  });
});

function startWriter(options: WriterOptions): ChildProcessByStdio<null, Readable, null> {
  const script = fileURLToPath(new URL('writer-process.ts', import.meta.url));
  return spawn(process.execPath, [script, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] });
}
