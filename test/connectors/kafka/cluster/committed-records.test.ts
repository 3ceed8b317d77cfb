import { expect, test } from 'vitest';
import { committedRecords } from '../../../../connectors/kafka/cluster/partition-reader.ts';
import type { FetchedBatch } from '../../../../connectors/kafka/wire/record-batch-reader.ts';

let offset = 0n;

/** `what`: one letter per record, or the marker. */
function batch(producerId: bigint, what: string, transactional = true): FetchedBatch {
  const baseOffset = offset;
  const control = what === 'commit' || what === 'abort' ? what : undefined;
  const records = (control === undefined ? what : ' ').split('').map((letter) => ({
    offset: offset++,
    timestampMs: 0,
    key: null,
    value: Buffer.from(letter),
  }));
  return { baseOffset, lastOffset: offset - 1n, producerId, transactional, control, records };
}

const textOf = (batches: readonly FetchedBatch[], aborted: readonly FetchedBatch[]): string =>
  [
    ...committedRecords(batches, {
      abortedTransactions: aborted.map(({ producerId, baseOffset }) => ({
        producerId,
        firstOffset: baseOffset,
      })),
    }),
  ]
    .map(({ value }) => `${value}`)
    .join('');

test('aborted transactions and markers are left out, whoever writes between', () => {
  const before = [batch(1n, 'ab'), batch(1n, 'commit')];
  const lost1 = batch(1n, 'x');
  const between = batch(3n, 'c', false);
  const lost2 = batch(2n, 'y');
  const after = [
    batch(1n, 'xx'),
    batch(1n, 'abort'),
    batch(1n, 'd'),
    batch(2n, 'abort'),
    batch(2n, 'e'),
    batch(1n, 'commit'),
    batch(2n, 'commit'),
  ];
  const batches = [...before, lost1, between, lost2, ...after];
  // Brokers do not promise an order.
  expect(textOf(batches, [lost2, lost1])).toBe('abcde');
});

test('a transaction that was aborted before what is read is recognised by its first offset', () => {
  const first = batch(1n, 'x');
  const rest = [batch(1n, 'x'), batch(2n, 'a'), batch(1n, 'abort'), batch(1n, 'b')];
  expect(textOf(rest, [first])).toBe('ab');
});

test('batches that compaction has emptied are passed', () => {
  expect(textOf([{ ...batch(1n, 'x'), records: [] }, batch(1n, 'a')], [])).toBe('a');
});
