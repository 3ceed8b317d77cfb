import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KafkaFailure } from '../../../../connectors/kafka/cluster/failure.ts';
import { PendingRecords } from '../../../../connectors/kafka/produce/pending-records.ts';
import type { Producer, SendOutcome } from '../../../../connectors/kafka/produce/producer.ts';
import { addToSequence } from '../../../../connectors/kafka/produce/producer-session.ts';
import { type PartitionRecords, RecordWindow } from '../../../../connectors/kafka/produce/record-window.ts';

const { signal } = new AbortController();

/** Items 0, 1, 2, ... over the partitions given. */
function windowOf(partitions: readonly number[]): RecordWindow {
  const window = new RecordWindow(Number.MAX_SAFE_INTEGER);
  const target = { topic: 't', partitionBytes: Number.MAX_SAFE_INTEGER };
  for (const [item, partition] of partitions.entries()) {
    const at = window.out.length;
    window.out.ascii('x');
    window.add({
      target,
      partition,
      item,
      keyStart: at,
      keyEnd: -1,
      valueStart: at,
      valueEnd: at + 1,
      headers: [],
      timestampMs: 0,
      bytes: 10,
    });
  }
  return window;
}

/** What a partition's log holds, and what the broker says to each batch. */
class Broker {
  readonly stored = new Map<number, number[]>();
  readonly #answer: (records: PartitionRecords) => SendOutcome;

  constructor(answer: (records: PartitionRecords) => SendOutcome) {
    this.#answer = answer;
  }

  readonly producer = {
    send: async (batches: readonly PartitionRecords[]): Promise<readonly SendOutcome[]> => {
      expect(new Set(batches.map(({ partition }) => partition)).size).toBe(batches.length);
      return batches.map((records) => {
        const outcome = this.#answer(records);
        const log = this.stored.get(records.partition) ?? [];
        this.stored.set(records.partition, log);
        if (outcome === undefined) log.push(...records.items());
        return outcome;
      });
    },
  } as unknown as Producer;
}

const failed = (
  kind: KafkaFailure['kind'],
  reason: string,
  badRecords: readonly number[] = [],
): SendOutcome => ({
  failure: new KafkaFailure({ kind, reason }),
  badRecords,
});

const noEvents = { acknowledged: (): void => {}, tooLarge: (): void => {} };

describe('refused records are singled out', () => {
  test.each([
    ['too-large', false],
    ['record', false],
    ['record', true],
  ] as const)(
    '%s (the broker names them: %s): the others are stored, once and in order',
    async (kind, named) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ partition: fc.nat(2), bad: fc.boolean() }), { minLength: 1, maxLength: 40 }),
          async (records) => {
            const broker = new Broker((batch) => {
              const bad = batch.items().flatMap((item, i) => (records[item]?.bad === true ? [i] : []));
              return bad.length === 0 ? undefined : failed(kind, 'BAD', named ? bad : []);
            });
            const window = windowOf(records.map(({ partition }) => partition));
            const pending = new PendingRecords(window.partitions(), noEvents);
            await pending.send(broker.producer, signal);
            expect(pending.refused.map(({ item }) => item).toSorted((a, b) => a - b)).toEqual(
              records.flatMap(({ bad }, item) => (bad ? [item] : [])),
            );
            for (const [partition, log] of broker.stored) {
              expect(log).toEqual(
                records.flatMap((record, item) =>
                  record.partition === partition && !record.bad ? [item] : [],
                ),
              );
            }
          },
        ),
      );
    },
  );

  test('too large a batch tells how large it was', async () => {
    const sizes: number[] = [];
    const broker = new Broker((batch) =>
      batch.count > 2 ? failed('too-large', 'MESSAGE_TOO_LARGE') : undefined,
    );
    const pending = new PendingRecords(windowOf(Array(8).fill(0)).partitions(), {
      ...noEvents,
      tooLarge: (_, bytes) => sizes.push(bytes),
    });
    await pending.send(broker.producer, signal);
    expect(sizes).toEqual([80, 40, 40]);
    expect(pending.refused).toEqual([]);
  });

  test('a position record cannot be put aside', async () => {
    const window = new RecordWindow(Number.MAX_SAFE_INTEGER);
    const target = { topic: 'positions', partitionBytes: 1000 };
    window.add({
      target,
      partition: 0,
      item: -1,
      keyStart: 0,
      keyEnd: -1,
      valueStart: 0,
      valueEnd: 0,
      headers: [],
      timestampMs: 0,
      bytes: 1,
    });
    const broker = new Broker(() => failed('record', 'INVALID_RECORD'));
    await expect(
      new PendingRecords(window.partitions(), noEvents).send(broker.producer, signal),
    ).rejects.toMatchObject({
      reason: 'INVALID_RECORD',
    });
  });
});

test('after any other failure the rest is sent again, as the very same batches', async () => {
  let round = 0;
  const seen: PartitionRecords[][] = [[], []];
  const broker = new Broker((batch) => {
    seen[round]?.push(batch);
    return round === 0 && batch.partition !== 1 ? failed('unavailable', 'NOT_LEADER_OR_FOLLOWER') : undefined;
  });
  const pending = new PendingRecords(windowOf([0, 1, 2, 0, 1, 2]).partitions(), noEvents);
  await expect(pending.send(broker.producer, signal)).rejects.toMatchObject({ kind: 'unavailable' });
  round = 1;
  await pending.send(broker.producer, signal);
  expect(seen[1]).toEqual([seen[0]?.[0], seen[0]?.[2]]);
  expect(seen[1]?.[0]).toBe(seen[0]?.[0]);
  expect([...broker.stored]).toEqual([
    [0, [0, 3]],
    [1, [1, 4]],
    [2, [2, 5]],
  ]);
});

test('of several failures the gravest is told', async () => {
  const kinds = ['unavailable', 'fenced', 'missing'] as const;
  const broker = new Broker(({ partition }) => failed(kinds[partition] ?? 'busy', 'X'));
  const pending = new PendingRecords(windowOf([0, 1, 2]).partitions(), noEvents);
  await expect(pending.send(broker.producer, signal)).rejects.toMatchObject({ kind: 'fenced' });
});

test('sequence numbers begin anew after 2^31 - 1, as in the Java client', () => {
  expect(addToSequence(0, 5)).toBe(5);
  expect(addToSequence(0x7fff_ffff, 1)).toBe(0);
  expect(addToSequence(0x7fff_fffe, 1)).toBe(0x7fff_ffff);
  expect(addToSequence(0x7fff_fff0, 100)).toBe(84);
});
