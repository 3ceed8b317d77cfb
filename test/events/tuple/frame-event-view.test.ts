import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ColumnState, Side } from '../../../src/events/change-event.ts';
import { FrameEventView } from '../../../src/events/tuple/frame-event-view.ts';
import {
  baseType,
  eventOf,
  NOT_CAPTURED,
  relationOf,
  TRANSACTION,
  TupleBuilder,
  type TupleValue,
  UNCHANGED,
} from '../tuple-builder.ts';

const build = new TupleBuilder();
const orders = relationOf({ id: { type: 'int4', key: true }, name: {}, note: {} });

function read(event: FrameEventView, side: Side, i: number): ColumnState | `=${string}` {
  const state = event.column(side, i);
  return state === 'value' ? `=${event.text()}` : state;
}

function row(event: FrameEventView, side: Side): string[] {
  return event.relation.columns.map((_, i) => read(event, side, i));
}

describe('columns', () => {
  test('an insert has an after image only', () => {
    const event = eventOf({ op: 'insert', relation: orders, body: build.insert(['1', 'Zoë', null]) });
    expect(row(event, 'after')).toEqual(['=1', '=Zoë', 'null']);
    expect(row(event, 'before')).toEqual(['absent', 'absent', 'absent']);
    expect(event).toMatchObject({ hasAfter: true, beforeImage: 'none', keyChanged: false });
  });

  test('an empty string is a value, not null', () => {
    const event = eventOf({ op: 'insert', relation: orders, body: build.insert(['1', '', null]) });
    expect(row(event, 'after')).toEqual(['=1', '=', 'null']);
  });

  test('a key-only old image knows its identity columns only', () => {
    const body = build.delete({ tag: 'K', values: ['1', null, null] });
    const event = eventOf({ op: 'delete', relation: orders, body });
    expect(row(event, 'before')).toEqual(['=1', 'not-captured', 'not-captured']);
    expect(event).toMatchObject({ hasAfter: false, beforeImage: 'key' });
    expect(event.column('after', 0)).toBe('absent');
  });

  test('a null in a full old image is a null', () => {
    const full = relationOf({ id: { key: true }, name: {} }, { replicaIdentity: 'full' });
    const event = eventOf({
      op: 'delete',
      relation: full,
      body: build.delete({ tag: 'O', values: ['1', null] }),
    });
    expect(row(event, 'before')).toEqual(['=1', 'null']);
    expect(event.beforeImage).toBe('full');
  });

  test('an unchanged TOAST value is never null, and comes from the old image when that has it', () => {
    const values: TupleValue[] = ['1', 'b', UNCHANGED];
    const lean = eventOf({ op: 'update', relation: orders, body: build.update(undefined, values) });
    expect(row(lean, 'after')).toEqual(['=1', '=b', 'unchanged']);
    const full = relationOf({ id: { key: true }, name: {}, note: {} }, { replicaIdentity: 'full' });
    const body = build.update({ tag: 'O', values: ['1', 'a', 'long text'] }, values);
    const event = eventOf({ op: 'update', relation: full, body });
    expect(row(event, 'after')).toEqual(['=1', '=b', '=long text']);
    expect(row(event, 'before')).toEqual(['=1', '=a', '=long text']);
    const keyOnly = build.update({ tag: 'K', values: ['0', null, null] }, values);
    expect(row(eventOf({ op: 'update', relation: orders, body: keyOnly }), 'after')[2]).toBe('unchanged');
  });

  test('a column dropped by configuration is not null', () => {
    const body = build.insert(['1', NOT_CAPTURED, null]);
    expect(row(eventOf({ op: 'insert', relation: orders, body }), 'after')).toEqual([
      '=1',
      'not-captured',
      'null',
    ]);
  });

  test('a table of 1600 columns', () => {
    const wide = relationOf(Object.fromEntries(Array.from({ length: 1600 }, (_, i) => [`c${i}`, {}])));
    const values = wide.columns.map((_, i) => (i % 7 === 0 ? null : `v${i}`));
    const event = eventOf({ op: 'insert', relation: wide, body: build.insert(values) });
    expect(read(event, 'after', 1599)).toBe('=v1599');
    expect(row(event, 'after')).toEqual(values.map((value) => (value === null ? 'null' : `=${value}`)));
  });

  test('any tuple reads back, in any order of asking, by one reused cursor', () => {
    const cursor = new FrameEventView();
    const value = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom<TupleValue>(null, UNCHANGED, NOT_CAPTURED),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 80 }).chain((n) =>
          fc.record({
            before: fc.option(fc.array(value, { minLength: n, maxLength: n })),
            after: fc.array(value, { minLength: n, maxLength: n }),
            order: fc.array(
              fc.tuple(fc.constantFrom<Side>('before', 'after'), fc.integer({ min: 0, max: n - 1 })),
              { maxLength: 50 },
            ),
          }),
        ),
        ({ before, after, order }) => {
          const relation = relationOf(Object.fromEntries(after.map((_, i) => [`c${i}`, {}])), {
            replicaIdentity: 'full',
          });
          const old = before === null ? undefined : { tag: 'O' as const, values: before };
          const event = eventOf({ op: 'update', relation, body: build.update(old, after) }, cursor);
          for (const [side, i] of order) {
            const own = side === 'after' ? after[i] : before?.[i];
            const wanted =
              side === 'after' && own === UNCHANGED && typeof before?.[i] === 'string' ? before[i] : own;
            expect(read(event, side, i)).toBe(nameOf(wanted));
          }
        },
      ),
    );
  });
});

function nameOf(value: TupleValue | undefined): string {
  if (value === undefined) return 'absent';
  if (value === null) return 'null';
  if (value === UNCHANGED) return 'unchanged';
  return value === NOT_CAPTURED ? 'not-captured' : `=${String(value)}`;
}

describe('keyChanged', () => {
  const pair = relationOf({ a: { key: true }, b: { key: true }, c: {} });
  const changed = (tag: 'K' | 'O', before: TupleValue[], after: TupleValue[], relation = pair): boolean =>
    eventOf({ op: 'update', relation, body: build.update({ tag, values: before }, after) }).keyChanged;

  test.each(['K', 'O'] as const)('compares the key columns of an %s image', (tag) => {
    expect(changed(tag, ['1', '2', null], ['1', '2', 'x'])).toBe(false);
    expect(changed(tag, ['1', '2', null], ['1', '3', 'x'])).toBe(true);
    expect(changed(tag, ['1', '2', null], ['1', '22', 'x'])).toBe(true);
    expect(changed(tag, ['1', '22', null], ['1', '23', 'x'])).toBe(true);
  });

  test('is false without an old image and for an unchanged TOASTed key', () => {
    expect(
      eventOf({ op: 'update', relation: pair, body: build.update(undefined, ['1', '2', null]) }).keyChanged,
    ).toBe(false);
    expect(changed('K', ['1', 'long', null], ['1', UNCHANGED, 'x'])).toBe(false);
  });

  test('null and the empty string are different keys', () => {
    expect(changed('O', ['1', null, null], ['1', '', null])).toBe(true);
    expect(changed('O', ['1', null, null], ['1', null, null])).toBe(false);
  });

  test('one cursor, event after event', () => {
    const cursor = new FrameEventView();
    for (const after of ['2', '3', '2', '3']) {
      const body = build.update({ tag: 'K', values: ['1', '2', null] }, ['1', after, 'x']);
      const event = eventOf({ op: 'update', relation: pair, body }, cursor);
      expect([event.keyChanged, event.keyChanged]).toEqual([after === '3', after === '3']);
    }
  });

  test('a key column outside the replica identity proves nothing', () => {
    const other = relationOf({ id: { key: true, inIdentity: false }, code: { inIdentity: true } });
    expect(changed('K', [null, 'a'], ['1', 'b'], other)).toBe(false);
  });
});

test('position, LSNs and transaction', () => {
  const body = build.insert(['1', null, null]);
  const event = eventOf({
    op: 'insert',
    relation: orders,
    body,
    seq: 7,
    walLsnHigh: 0xffffffff,
    walLsnLow: 1,
  });
  expect(event.walLsn).toBe(0xffff_ffff_0000_0001n);
  expect(event.position).toEqual({ commitLsn: TRANSACTION.commitLsn, seq: 7 });
  expect(event.commitLsn).toBe(TRANSACTION.commitLsn);
});

test('truncate options', () => {
  for (const options of [
    { cascade: false, restartIdentity: false },
    { cascade: true, restartIdentity: false },
    { cascade: false, restartIdentity: true },
    { cascade: true, restartIdentity: true },
  ]) {
    const event = eventOf({ op: 'truncate', relation: orders, body: build.truncate(options) });
    expect(event.truncateOptions).toEqual(options);
    expect(event.column('after', 0)).toBe('absent');
  }
});

test('logical messages', () => {
  const content = Buffer.from([0, 1, 0xff, 0]);
  const body = build.message({ prefix: 'Präfix', content, transactional: true });
  const event = eventOf({ op: 'message', relation: orders, body });
  expect(event.message).toEqual({ prefix: 'Präfix', content, transactional: true });
  const empty = build.message({ prefix: '', content: Buffer.alloc(0), transactional: false });
  expect(eventOf({ op: 'message', relation: orders, body: empty }).message).toEqual({
    prefix: '',
    content: Buffer.alloc(0),
    transactional: false,
  });
});

describe('bodies that are not what pgoutput documents', () => {
  const touch = (op: 'insert' | 'update' | 'delete', body: Buffer): void => {
    const event = eventOf({ op, relation: orders, body });
    for (const side of ['before', 'after'] as const) {
      for (let i = 0; i < 3; i++) event.column(side, i);
    }
  };

  test('a body cut anywhere is E_PROTOCOL', () => {
    for (const last of [UNCHANGED, null, 'text'] as const) {
      const body = build.update({ tag: 'O', values: ['1', 'a', null] }, ['1', 'b', last]);
      for (let cut = 0; cut < body.length; cut++) {
        expect(() => touch('update', body.subarray(0, cut))).toThrow(
          expect.objectContaining({ code: 'E_PROTOCOL' }),
        );
      }
      touch('update', body);
    }
  });

  test('wrong tags, kinds, lengths and too few columns are E_PROTOCOL', () => {
    const broken: ['insert' | 'update' | 'delete', Buffer][] = [
      ['insert', build.delete({ tag: 'K', values: ['1', null, null] })],
      ['delete', build.insert(['1', null, null])],
      ['update', Buffer.from('Z')],
      ['insert', Buffer.from('N\0\x01z')],
      ['insert', Buffer.from('N\0\x01b\0\0\0\x01!')],
      ['insert', Buffer.from([0x4e, 0, 1, 0x74, 0xff, 0xff, 0xff, 0xff])],
      ['insert', build.insert(['1', null])],
    ];
    for (const [op, body] of broken) {
      expect(() => touch(op, body)).toThrow(expect.objectContaining({ code: 'E_PROTOCOL' }));
    }
  });

  test('messages name no row value', () => {
    const relation = relationOf({ id: { type: baseType('int4'), key: true }, secret: {} });
    const event = eventOf({ op: 'insert', relation, body: build.insert(['hidden']) });
    expect(() => event.column('after', 1)).toThrow(/^(?!.*hidden)/);
  });
});
