import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRoute } from '../../../../connectors/elasticsearch/documents/create-route.ts';
import type { CarriedOperation } from '../../../../connectors/elasticsearch/documents/plan.ts';
import { BatchPlan } from '../../../../connectors/elasticsearch/documents/plan.ts';
import { DELETE, INDEX, TRUNCATE } from '../../../../connectors/elasticsearch/documents/route.ts';
import type { SinkBatch } from '../../../../src/delivery/sink.ts';
import { comparePositions, type Position } from '../../../../src/events/position.ts';
import { EventScript, relation, type TransactionScript } from '../../batch-builder.ts';
import { applyBatch, ModelIndex } from '../model-index.ts';

const orders = relation({ table: 'orders', columns: { id: 'int8', note: 'text' }, key: ['id'] });
const route = createRoute({ index: 'orders', relation: orders, idTemplate: undefined });
const routes = { routes: () => [route] };

function planOf(script: EventScript): BatchPlan {
  return new BatchPlan({ batch: script.batch(routes), carried: [] });
}

function live(plan: BatchPlan): readonly (readonly [kind: number, id: string, version: bigint])[] {
  return [...plan.operations()].map((ref) => [plan.kind(ref), plan.id(ref), plan.version(ref)]);
}

describe('the plan of a batch', () => {
  test('keeps the last operation per document, with the version of its own transaction', () => {
    const script = new EventScript();
    const first = script.transaction((tx) => {
      tx.insert(orders, { id: '1', note: 'a' });
      tx.insert(orders, { id: '2', note: 'a' });
    });
    const second = script.transaction((tx) => {
      tx.update(orders, { id: '1', note: 'b' });
      tx.delete(orders, { id: '1' });
    });
    const plan = planOf(script);
    expect(live(plan)).toEqual([
      [INDEX, '2', first.commitLsn + 16n],
      [DELETE, '1', second.commitLsn + 16n],
    ]);
    expect(plan.highestVersion).toBe(second.commitLsn + 16n);
  });

  test('turns a key change into a deletion and a document', () => {
    const script = new EventScript();
    const { commitLsn } = script.transaction((tx) =>
      tx.update(orders, { id: '2', note: 'a' }, { oldKey: { id: '1' } }),
    );
    expect(live(planOf(script))).toEqual([
      [DELETE, '1', commitLsn],
      [INDEX, '2', commitLsn],
    ]);
  });

  test('drops what a later TRUNCATE of the index deletes', () => {
    const script = new EventScript();
    const { commitLsn } = script.transaction((tx) => {
      tx.insert(orders, { id: '1' });
      tx.truncate(orders);
      tx.insert(orders, { id: '2' });
    });
    expect(live(planOf(script))).toEqual([
      [TRUNCATE, '', commitLsn + 10n],
      [INDEX, '2', commitLsn + 21n],
    ]);
  });

  test('refuses transactions that would share versions', () => {
    const script = new EventScript({ startLsn: 1000n });
    script.transaction((tx) => tx.insert(orders, { id: '1' }));
    const near = new EventScript({ startLsn: 1000n + 8n });
    near.transaction((tx) => tx.insert(orders, { id: '2' }));
    const [first, second] = [script.batch(routes), near.batch(routes)];
    const both: SinkBatch<typeof route> = {
      ...second,
      count: 2,
      item: (i) => (i === 0 ? first.item(0) : second.item(0)),
    };
    expect(() => new BatchPlan({ batch: both, carried: [] })).toThrow(
      expect.objectContaining({ code: 'E_INTERNAL' }),
    );
  });

  test('a row without an id is rejected, the others are planned', () => {
    const codes = relation({ table: 'codes', columns: { code: 'text' }, key: ['code'] });
    const script = new EventScript();
    script.transaction((tx) => {
      tx.insert(codes, { code: null });
      tx.insert(codes, { code: 'x' });
    });
    const codesRoute = createRoute({ index: 'codes', relation: codes, idTemplate: undefined });
    const plan = new BatchPlan({ batch: script.batch({ routes: () => [codesRoute] }), carried: [] });
    expect(plan.rejected).toMatchObject([{ item: 0, reason: 'E_UNSUPPORTED_ROW' }]);
    expect(live(plan).map(([, id]) => id)).toEqual(['x']);
  });
});

type Step =
  | { readonly op: 'write'; readonly id: string }
  | { readonly op: 'delete'; readonly id: string }
  | { readonly op: 'move'; readonly id: string; readonly to: string }
  | { readonly op: 'truncate' };

const id = fc.integer({ min: 1, max: 4 }).map(String);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant('write' as const), id }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('delete' as const), id }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('move' as const), id, to: id }) },
  { weight: 1, arbitrary: fc.constant({ op: 'truncate' as const }) },
);

/** Applies a step to the table it stands for, and writes its event; steps that make no sense there do nothing. */
function write(tx: TransactionScript, table: Map<string, string>, given: Step, note: string): void {
  if (given.op === 'truncate') {
    table.clear();
    tx.truncate(orders);
  } else if (given.op === 'write') {
    if (table.has(given.id)) tx.update(orders, { id: given.id, note });
    else tx.insert(orders, { id: given.id, note });
    table.set(given.id, note);
  } else if (given.op === 'delete') {
    if (table.delete(given.id)) tx.delete(orders, { id: given.id });
  } else if (given.op === 'move' && table.has(given.id) && !table.has(given.to)) {
    table.delete(given.id);
    table.set(given.to, note);
    tx.update(orders, { id: given.to, note }, { oldKey: { id: given.id } });
  }
}

describe('properties', () => {
  test('however the log is cut, interrupted and read again, the index ends as the table', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(step, { minLength: 1, maxLength: 300, size: 'max' }), {
          minLength: 1,
          maxLength: 3,
        }),
        fc.infiniteStream(fc.nat(1000)),
        (transactions, random) => {
          const dice = random[Symbol.iterator]();
          const below = (limit: number): number => (dice.next().value as number) % limit;
          const script = new EventScript({ startLsn: 2n ** 53n + 8n });
          const table = new Map<string, string>();
          for (const [t, steps] of transactions.entries()) {
            script.transaction((tx) => {
              for (const [s, given] of steps.entries()) write(tx, table, given, `${t}.${s}`);
              if (tx.events.length === 0) tx.message('empty', '');
            });
          }
          const index = new ModelIndex();
          let after: Position | undefined;
          let safe: Position | undefined;
          let carried: readonly CarriedOperation[] = [];
          for (let crashes = 3; ; ) {
            if (after !== undefined && comparePositions(after, script.end.position) === 0) break;
            const batch = script.batch({
              ...routes,
              after,
              ...(below(2) === 0 ? { events: 1 + below(60) } : { transactions: 1 + below(3) }),
            });
            if (crashes > 0 && below(4) === 0) {
              // Some of the operations are applied, then everything is read again from the last whole transaction.
              crashes--;
              applyBatch(index, batch, carried, (operations) =>
                operations.slice(0, below(operations.length + 1)),
              );
              after = safe;
              carried = [];
              continue;
            }
            carried = applyBatch(index, batch, carried, (operations) => operations.sort(() => below(3) - 1));
            after = batch.to.position;
            if (batch.to.endLsn > batch.to.position.commitLsn) safe = after;
          }
          expect(carried).toEqual([]);
          const expected = [...table].map(([key, note]) => [key, `{"id":${key},"note":"${note}"}`]);
          expect(new Map(index.contents)).toEqual(new Map(expected as [string, string][]));
        },
      ),
      { numRuns: 300 },
    );
  });
});
