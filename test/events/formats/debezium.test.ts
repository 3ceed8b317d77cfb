import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../../src/events/byte-writer.ts';
import type { EventView } from '../../../src/events/change-event.ts';
import { debeziumTopicName, sanitizeTopicName } from '../../../src/events/formats/debezium/topic-name.ts';
import { createRecordEncoder, type FormatOptions } from '../../../src/events/formats/record-format.ts';
import type { Relation } from '../../../src/events/relation.ts';
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
import { CONTEXT, recordsOf, type TextRecord } from './records.ts';

const build = new TupleBuilder();

const orders = relationOf({
  id: { type: 'int4', key: true },
  name: { type: 'text', nullable: false },
  qty: { type: 'int4' },
});
const ordersFull = relationOf(
  { id: { type: 'int4', key: true }, name: { type: 'text', nullable: false }, qty: { type: 'int4' } },
  { replicaIdentity: 'full' },
);

function records(event: EventView, options: Partial<FormatOptions> = {}): readonly TextRecord[] {
  return recordsOf(createRecordEncoder({ format: 'debezium', ...options }, event.relation, CONTEXT), event);
}

function only(event: EventView, options: Partial<FormatOptions> = {}): TextRecord {
  const [record, ...more] = records(event, options);
  expect(more).toEqual([]);
  return record as TextRecord;
}

const insert = (values: TupleValue[], relation: Relation = orders): EventView =>
  eventOf({ op: 'insert', relation, body: build.insert(values) });

const CONTEXT_HEADERS = {
  '__debezium.context.connectorLogicalName': 'shop',
  '__debezium.context.taskId': '0',
  '__debezium.context.connectorName': 'postgresql',
  '__debezium.context.runId': CONTEXT.runId,
};

const SOURCE =
  '{"version":"1.2.3","connector":"postgresql","name":"shop","ts_ms":1478267490123,"snapshot":"false","db":"shopdb",' +
  '"sequence":"[\\"4294967336\\",\\"4294967296\\"]","ts_us":1478267490123456,"ts_ns":1478267490123456000,' +
  '"schema":"public","table":"orders","txId":565,"lsn":4294967296,"xmin":null,"origin":null,"origin_lsn":null,' +
  '"commit_lsn":4294967336,"seq":1}';
const TIMES = '"ts_ms":1700000000123,"ts_us":1700000000123000,"ts_ns":1700000000123000000';

const envelope = (op: string, before: string, after: string): string =>
  `{"before":${before},"after":${after},"source":${SOURCE},"transaction":null,"op":"${op}",${TIMES}}`;

describe('records', () => {
  test('insert', () => {
    expect(only(insert(['1', 'Zoë', null]))).toEqual({
      key: '{"id":1}',
      value: envelope('c', 'null', '{"id":1,"name":"Zoë","qty":null}'),
      headers: CONTEXT_HEADERS,
    });
  });

  test('update without old image, and with a whole one', () => {
    const lean = eventOf({
      op: 'update',
      relation: orders,
      body: build.update(undefined, ['1', 'b', '2']),
    });
    expect(only(lean).value).toBe(envelope('u', 'null', '{"id":1,"name":"b","qty":2}'));
    const full = eventOf({
      op: 'update',
      relation: ordersFull,
      body: build.update({ tag: 'O', values: ['1', 'a', null] }, ['1', 'b', '2']),
    });
    expect(only(full)).toMatchObject({
      key: '{"id":1}',
      value: envelope('u', '{"id":1,"name":"a","qty":null}', '{"id":1,"name":"b","qty":2}'),
    });
  });

  test('delete and its tombstone; columns that were not sent are null, never an invented default', () => {
    const event = eventOf({
      op: 'delete',
      relation: orders,
      body: build.delete({ tag: 'K', values: ['1', null, null] }),
    });
    const [first, second] = records(event);
    expect(first).toEqual({
      key: '{"id":1}',
      value: envelope('d', '{"id":1,"name":null,"qty":null}', 'null'),
      headers: CONTEXT_HEADERS,
    });
    expect(second).toEqual({ key: '{"id":1}', value: null, headers: CONTEXT_HEADERS });
    expect(records(event, { tombstones_on_delete: false })).toEqual([first]);
  });

  test('a key change is a delete, a tombstone and a create', () => {
    const body = build.update({ tag: 'K', values: ['1', null, null] }, ['4', 'b', null]);
    const event = eventOf({ op: 'update', relation: orders, body });
    const wanted: TextRecord[] = [
      {
        key: '{"id":1}',
        value: envelope('d', '{"id":1,"name":null,"qty":null}', 'null'),
        headers: { '__debezium.newkey': '{"id":4}', ...CONTEXT_HEADERS },
      },
      {
        key: '{"id":1}',
        value: null,
        headers: { '__debezium.newkey': '{"id":4}', ...CONTEXT_HEADERS },
      },
      {
        key: '{"id":4}',
        value: envelope('c', 'null', '{"id":4,"name":"b","qty":null}'),
        headers: { '__debezium.oldkey': '{"id":1}', ...CONTEXT_HEADERS },
      },
    ];
    expect(records(event)).toEqual(wanted);
    expect(Object.keys(records(event)[0]?.headers ?? {})[0]).toBe('__debezium.newkey');
    expect(records(event, { tombstones_on_delete: false })).toEqual([wanted[0], wanted[2]]);
  });

  test('a key change under full identity keeps the whole old row', () => {
    const body = build.update({ tag: 'O', values: ['1', 'a', '7'] }, ['4', 'b', null]);
    const [deleted, , created] = records(eventOf({ op: 'update', relation: ordersFull, body }));
    expect(deleted?.value).toBe(envelope('d', '{"id":1,"name":"a","qty":7}', 'null'));
    expect(created?.value).toBe(envelope('c', 'null', '{"id":4,"name":"b","qty":null}'));
  });

  test('read: a row of a backfill has no transaction and no LSN of its own', () => {
    const event = eventOf({ op: 'read', relation: orders, body: build.insert(['1', 'a', null]) });
    const { key, value } = only(event);
    expect(key).toBe('{"id":1}');
    expect(JSON.parse(value as string)).toMatchObject({
      op: 'r',
      before: null,
      after: { id: 1, name: 'a', qty: null },
      source: {
        snapshot: 'incremental',
        txId: null,
        lsn: null,
        xmin: null,
        sequence: '["4294967336","4294967336"]',
        commit_lsn: 4294967336,
        seq: 1,
      },
    });
  });

  test('truncate', () => {
    const event = eventOf({ op: 'truncate', relation: orders, body: build.truncate({ cascade: true }) });
    expect(only(event)).toEqual({
      key: null,
      value: envelope('t', 'null', 'null'),
      headers: CONTEXT_HEADERS,
    });
  });

  test('a logical message', () => {
    const nothing = { ...relationOf({}), schema: '', table: '', oid: 0 };
    const body = build.message({ prefix: 'outbox"x', content: Buffer.from([1, 2, 3]), transactional: true });
    const event = eventOf({ op: 'message', relation: nothing, body });
    const { key, value, headers } = only(event);
    expect(key).toBe('{"prefix":"outbox\\"x"}');
    expect(headers).toEqual({});
    expect(value).toBe(
      `{"op":"m","ts_ms":1700000000123,"source":${SOURCE.replace('"public"', '""').replace('"orders"', '""')},` +
        '"transaction":null,"message":{"prefix":"outbox\\"x","content":"AQID"}}',
    );
    expect(JSON.parse(only(event, { binary_handling_mode: 'hex' }).value as string).message.content).toBe(
      '010203',
    );
    const loose = eventOf({ op: 'message', relation: nothing, body, seq: 0 });
    expect(JSON.parse(only(loose).value as string).source).toMatchObject({ txId: null, seq: 0 });
  });

  test('a table without key', () => {
    const keyless = relationOf({ a: {} }, { replicaIdentity: 'full' });
    expect(only(insert(['x'], keyless)).key).toBe(null);
    const body = build.delete({ tag: 'O', values: ['x'] });
    const deleted = records(eventOf({ op: 'delete', relation: keyless, body }));
    expect(deleted.map(({ key }) => key)).toEqual([null, null]);
    expect(deleted[1]?.value).toBe(null);
  });

  test('skipped operations', () => {
    const events = {
      c: insert(['1', 'a', null]),
      u: eventOf({ op: 'update', relation: orders, body: build.update(undefined, ['1', 'b', null]) }),
      d: eventOf({
        op: 'delete',
        relation: orders,
        body: build.delete({ tag: 'K', values: ['1', null, null] }),
      }),
      t: eventOf({ op: 'truncate', relation: orders, body: build.truncate() }),
      r: eventOf({ op: 'read', relation: orders, body: build.insert(['1', 'a', null]) }),
      m: eventOf({
        op: 'message',
        relation: orders,
        body: build.message({ prefix: 'p', content: Buffer.alloc(0), transactional: true }),
      }),
    } as const;
    for (const skipped of ['c', 'u', 'd', 't', 'r', 'm'] as const) {
      for (const [op, event] of Object.entries(events)) {
        const count = records(event, { skipped_operations: [skipped] }).length;
        expect(count, `${op} with ${skipped} skipped`).toBe(op === skipped ? 0 : op === 'd' ? 2 : 1);
      }
    }
  });

  test('context headers can be left out', () => {
    expect(only(insert(['1', 'a', null]), { extended_headers_enabled: false }).headers).toEqual({});
  });

  test('columns of the mapping: a key column left out stays in the key', () => {
    const encoder = createRecordEncoder({ format: 'debezium' }, orders, CONTEXT, [2]);
    const [record] = recordsOf(encoder, insert(['1', 'a', '5']));
    expect(record?.key).toBe('{"id":1}');
    expect(JSON.parse(record?.value as string).after).toEqual({ qty: 5 });
    const hidden = relationOf({ id: { type: 'int4', key: true }, card: { captured: false } });
    expect(JSON.parse(only(insert(['1', NOT_CAPTURED], hidden)).value as string).after).toEqual({ id: 1 });
    const body = build.delete({ tag: 'K', values: ['1', NOT_CAPTURED] });
    const [deleted] = records(eventOf({ op: 'delete', relation: hidden, body }));
    expect(JSON.parse(deleted?.value as string).before).toEqual({ id: 1 });
  });
});

describe('source', () => {
  test('origin, and LSNs beyond 2^53 and 2^63 digit by digit', () => {
    const transaction = {
      ...TRANSACTION,
      commitLsn: 0xffff_ffff_ffff_fff0n,
      origin: { name: 'replica "1"', commitLsn: 0x7fff_ffff_ffff_ffffn },
    };
    const event = eventOf({
      op: 'insert',
      relation: orders,
      body: build.insert(['1', 'a', null]),
      transaction,
      walLsnHigh: 0xffff_ffff,
      walLsnLow: 0xffff_ff00,
    });
    const { value } = only(event);
    expect(value).toContain('"lsn":18446744073709551360,');
    expect(value).toContain('"commit_lsn":18446744073709551600,');
    expect(value).toContain('"sequence":"[\\"18446744073709551600\\",\\"18446744073709551360\\"]"');
    expect(value).toContain('"origin":"replica \\"1\\"","origin_lsn":9223372036854775807,');
  });

  test('what is kept from one event to the next follows the transaction, the kind of event and the clock', () => {
    let nowMs = 1000;
    const encoder = createRecordEncoder({ format: 'debezium' }, orders, { ...CONTEXT, nowMs: () => nowMs });
    const seen = (event: EventView): Record<string, unknown> => {
      const value = JSON.parse(recordsOf(encoder, event)[0]?.value as string);
      return { ...value.source, ts_ns: value.ts_ns };
    };
    const body = build.insert(['1', 'a', null]);
    const event = (xid: number, seq: number, op: 'insert' | 'read' = 'insert'): EventView =>
      eventOf({
        op,
        relation: orders,
        body,
        seq,
        walLsnLow: seq * 10,
        transaction: { ...TRANSACTION, xid, commitLsn: BigInt(xid), commitTimeUs: BigInt(xid) * 1000n },
      });
    expect(seen(event(7, 1))).toMatchObject({ txId: 7, commit_lsn: 7, seq: 1, ts_ms: 7, ts_ns: 1000000000 });
    expect(seen(event(7, 2))).toMatchObject({ txId: 7, commit_lsn: 7, seq: 2, lsn: 4294967316 });
    nowMs = 1001;
    expect(seen(event(8, 1))).toMatchObject({ txId: 8, commit_lsn: 8, seq: 1, ts_ms: 8, ts_ns: 1001000000 });
    expect(seen(event(8, 1, 'read'))).toMatchObject({ txId: null, snapshot: 'incremental' });
    expect(seen(event(8, 2))).toMatchObject({ txId: 8, snapshot: 'false' });
  });
});

describe('TOAST', () => {
  const typed = (type: string) => relationOf({ id: { type: 'int4', key: true }, v: { type } });
  const after = (relation: Relation, options: Partial<FormatOptions> = {}): unknown =>
    JSON.parse(
      only(eventOf({ op: 'update', relation, body: build.update(undefined, ['1', UNCHANGED]) }), options)
        .value as string,
    ).after;

  test('the placeholder, in the form of the type', () => {
    const text = '__debezium_unavailable_value';
    const of = (type: string, options: Partial<FormatOptions> = {}): unknown =>
      (after(typed(type), options) as { v: unknown }).v;
    for (const type of ['text', 'varchar', 'bpchar', 'json', 'jsonb', 'xml']) expect(of(type)).toBe(text);
    expect(of('bytea')).toBe('X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==');
    expect(of('bytea', { binary_handling_mode: 'hex' })).toBe(text);
    expect(of('hstore')).toBe(`{"${text}":"${text}"}`);
    expect(of('hstore', { hstore_handling_mode: 'map' })).toEqual({ [text]: text });
    expect(of('text', { unavailable_value_placeholder: 'n/a "x"' })).toBe('n/a "x"');
  });

  test('the placeholder in arrays', () => {
    const text = '__debezium_unavailable_value';
    const of = (element: string): unknown => {
      const type = { ...baseType(`_${element}`), kind: 'array' as const, element: baseType(element) };
      const relation = relationOf({ id: { type: 'int4', key: true }, v: { type } });
      return (after(relation) as { v: unknown }).v;
    };
    expect(of('text')).toEqual([text]);
    expect(of('jsonb')).toEqual([text]);
    expect(of('bytea')).toEqual(['X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==']);
    for (const type of ['int4', 'int8', 'date']) expect(of(type)).toEqual([...Buffer.from(text)]);
    expect(of('uuid')).toEqual(['b68a35a7-17ad-35b3-af2a-ae46edb4545a']);
  });

  test('a type without room for a placeholder leaves the member out: null would say NULL', () => {
    for (const type of ['numeric', 'varbit', 'geometry', 'vector'])
      expect(after(typed(type))).toEqual({ id: 1 });
    const type = { ...baseType('_float8'), kind: 'array' as const, element: baseType('float8') };
    expect(after(relationOf({ id: { type: 'int4', key: true }, v: { type } }))).toEqual({ id: 1 });
  });

  test('... and is refused where the schema demands the member', () => {
    const relation = relationOf({
      id: { type: 'int4', key: true },
      v: { type: 'numeric', nullable: false },
    });
    expect(() => after(relation, { schemas_enable: true })).toThrow(
      expect.objectContaining({ code: 'E_UNSUPPORTED_ROW', message: expect.stringContaining('"v"') }),
    );
  });

  test('the value of the old image under full identity', () => {
    const relation = relationOf(
      { id: { type: 'int4', key: true }, v: { type: 'text' } },
      { replicaIdentity: 'full' },
    );
    const body = build.update({ tag: 'O', values: ['1', 'long'] }, ['1', UNCHANGED]);
    const event = eventOf({ op: 'update', relation, body });
    expect(JSON.parse(only(event).value as string)).toMatchObject({
      before: { id: 1, v: 'long' },
      after: { id: 1, v: 'long' },
    });
  });
});

describe('what cannot be written is named, and nothing of it is left behind', () => {
  test('a value', () => {
    const relation = relationOf({ id: { type: 'int4', key: true }, price: { type: 'numeric' } });
    expect(() => records(insert(['1', 'NaN'], relation))).toThrow(
      expect.objectContaining({
        code: 'E_UNSUPPORTED_ROW',
        message:
          'Column "price" of public.orders at 1/28:1 is NaN or infinite, which a Decimal has no form for.',
        fix: expect.stringContaining('decimal_handling_mode: string'),
      }),
    );
  });

  test('a key that the old image does not hold', () => {
    const relation = relationOf(
      { id: { type: 'int4', key: true, inIdentity: false }, code: { inIdentity: true } },
      { replicaIdentity: 'index' },
    );
    const body = build.delete({ tag: 'K', values: [null, 'x'] });
    expect(() => records(eventOf({ op: 'delete', relation, body }))).toThrow(
      expect.objectContaining({
        code: 'E_UNSUPPORTED_ROW',
        fix: 'ALTER TABLE "public"."orders" REPLICA IDENTITY FULL;',
      }),
    );
  });

  test.each([false, true])('with schemas %s the output ends where it did before', (schemas_enable) => {
    const relation = relationOf({ at: { type: 'date', key: true }, price: { type: 'numeric' } });
    const encoder = createRecordEncoder({ format: 'debezium', schemas_enable }, relation, CONTEXT);
    const out = new ByteWriter(1);
    out.ascii('kept');
    expect(() => encoder.key(insert(['no date', null], relation), 0, out)).toThrow();
    expect(() => encoder.value(insert(['2000-01-01', 'NaN'], relation), 0, out)).toThrow();
    expect(out.view().toString()).toBe('kept');
  });

  test('no row value in the message', () => {
    const relation = relationOf({ id: { type: 'int4', key: true }, at: { type: 'timestamptz' } });
    expect(() => records(insert(['1', 'secret'], relation))).toThrow(/^(?!.*secret)/);
  });
});

test('topic and schema names', () => {
  expect(debeziumTopicName('shop', orders)).toBe('shop.public.orders');
  expect(sanitizeTopicName('a b.Ünï"c/😀-_9')).toBe('a_b._n__c___-_9');
});
