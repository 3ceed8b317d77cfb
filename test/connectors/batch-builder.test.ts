import { expect, test } from 'vitest';
import type { Route } from '../../src/delivery/sink.ts';
import { EventScript, relation, UNCHANGED } from './batch-builder.ts';

const orders = relation({
  table: 'orders',
  columns: { id: 'int8', note: 'text' },
  key: ['id'],
});
const route: Route = { destination: 'orders', parts: () => 1 };

test('columns, images and key changes read back as they were written', () => {
  const script = new EventScript();
  script.transaction((tx) => {
    tx.insert(orders, { id: '1', note: 'é' });
    tx.update(orders, { id: '2', note: UNCHANGED }, { oldKey: { id: '1' } });
    tx.delete(orders, { id: '2' });
    tx.truncate(orders, { cascade: true });
    tx.message('audit', 'x');
  });
  const batch = script.batch({ routes: () => [route] });
  expect(batch.count).toBe(5);
  const insert = batch.item(0).event;
  expect([insert.op, insert.column('after', 1), insert.text(), insert.column('before', 0)]).toEqual([
    'insert',
    'value',
    'é',
    'absent',
  ]);
  const update = batch.item(1).event;
  expect([update.beforeImage, update.keyChanged]).toEqual(['key', true]);
  expect([update.column('after', 1), update.column('before', 1)]).toEqual(['unchanged', 'not-captured']);
  expect(update.column('before', 0)).toBe('value');
  expect(update.text()).toBe('1');
  const removed = batch.item(2).event;
  expect([removed.op, removed.hasAfter, removed.column('after', 0)]).toEqual(['delete', false, 'absent']);
  expect(batch.item(3).event.truncateOptions).toEqual({ cascade: true, restartIdentity: false });
  expect(batch.item(4).event.message).toMatchObject({ prefix: 'audit', transactional: true });
});

test('batches are cut at transactions, at counts and after positions', () => {
  const script = new EventScript();
  const first = script.transaction((tx) => {
    tx.insert(orders, { id: '1' });
    tx.insert(orders, { id: '2' });
  });
  const second = script.transaction((tx) => tx.insert(orders, { id: '3' }));
  const one = script.batch({ routes: () => [route], transactions: 1 });
  expect(one.to).toMatchObject({
    position: { commitLsn: first.commitLsn, seq: 2 },
    endLsn: first.endLsn,
  });
  const rest = script.batch({ routes: () => [route], after: one.to.position });
  expect(rest.count).toBe(1);
  expect(rest.to.endLsn).toBe(second.endLsn);
  const piece = script.batch({ routes: () => [route], events: 1 });
  expect(piece.wholeTransactions).toBe(false);
  expect(piece.to).toMatchObject({ position: { commitLsn: first.commitLsn, seq: 1 }, endLsn: 0n });
  expect(script.batch({ after: script.end.position }).to).toEqual(script.end);
});
