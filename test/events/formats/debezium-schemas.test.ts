import { expect, test } from 'vitest';
import { createRecordEncoder } from '../../../src/events/formats/record-format.ts';
import { eventOf, relationOf, TupleBuilder } from '../tuple-builder.ts';
import { CONTEXT, recordsOf } from './records.ts';

const build = new TupleBuilder();
const relation = relationOf(
  {
    id: { type: 'int4', key: true },
    name: { type: 'text', nullable: false },
    at: { type: 'timestamptz' },
  },
  { schema: 'my schema', table: 'ördérs' },
);
const encoder = createRecordEncoder({ format: 'debezium', schemas_enable: true }, relation, CONTEXT);
const plainEncoder = createRecordEncoder({ format: 'debezium' }, relation, CONTEXT);

const body = build.insert(['1', 'a', null]);
const insert = eventOf({ op: 'insert', relation, body });
const remove = eventOf({
  op: 'delete',
  relation,
  body: build.delete({ tag: 'K', values: ['1', null, null] }),
});

interface Schema {
  readonly type: string;
  readonly optional: boolean;
  readonly name?: string;
  readonly field?: string;
  readonly fields?: readonly Schema[];
}

test('key: schema and payload', () => {
  expect(recordsOf(encoder, insert)[0]?.key).toBe(
    '{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],"optional":false,' +
      '"name":"shop.my_schema._rd_rs.Key"},"payload":{"id":1}}',
  );
});

test('the payload is the record without schemas', () => {
  for (const event of [insert, remove]) {
    const [withSchema] = recordsOf(encoder, event);
    const [without] = recordsOf(plainEncoder, event);
    expect(withSchema?.value?.endsWith(`"payload":${without?.value}}`)).toBe(true);
    expect(JSON.parse(withSchema?.key as string).payload).toEqual(JSON.parse(without?.key as string));
  }
  expect(recordsOf(encoder, remove)[1]?.value).toBe(null);
});

test('envelope: order, names, what may be null', () => {
  const { schema } = JSON.parse(recordsOf(encoder, insert)[0]?.value as string) as { schema: Schema };
  expect(schema.name).toBe('shop.my_schema._rd_rs.Envelope');
  expect(schema.fields?.map(({ field }) => field)).toEqual([
    'before',
    'after',
    'source',
    'transaction',
    'op',
    'ts_ms',
    'ts_us',
    'ts_ns',
  ]);
  const [before, after, source] = schema.fields ?? [];
  expect(before?.name).toBe('shop.my_schema._rd_rs.Value');
  expect(after).toEqual({
    type: 'struct',
    fields: [
      { type: 'int32', optional: false, field: 'id' },
      { type: 'string', optional: false, field: 'name' },
      {
        type: 'string',
        optional: true,
        name: 'io.debezium.time.ZonedTimestamp',
        version: 1,
        field: 'at',
      },
    ],
    optional: true,
    name: 'shop.my_schema._rd_rs.Value',
    field: 'after',
  });
  // A key-only old image has nulls where the table has NOT NULL.
  expect(before?.fields?.map(({ optional }) => optional)).toEqual([false, true, true]);
  expect(source?.fields?.map(({ field }) => field).join(' ')).toBe(
    'version connector name ts_ms snapshot db sequence ts_us ts_ns schema table txId lsn xmin origin origin_lsn commit_lsn seq',
  );
});

test('under full identity before is as strict as after', () => {
  const full = relationOf(
    { id: { type: 'int4', key: true }, name: { type: 'text', nullable: false } },
    { replicaIdentity: 'full' },
  );
  const [record] = recordsOf(
    createRecordEncoder({ format: 'debezium', schemas_enable: true }, full, CONTEXT),
    eventOf({ op: 'insert', relation: full, body: build.insert(['1', 'a']) }),
  );
  const { schema } = JSON.parse(record?.value as string) as { schema: Schema };
  expect(schema.fields?.[0]?.fields?.map(({ optional }) => optional)).toEqual([false, false]);
});

test('every payload fits its schema, member by member', () => {
  const message = eventOf({
    op: 'message',
    relation: { ...relationOf({}), schema: '', table: '' },
    body: build.message({ prefix: 'p', content: Buffer.from('x'), transactional: true }),
  });
  const truncate = eventOf({ op: 'truncate', relation, body: build.truncate() });
  const read = eventOf({ op: 'read', relation, body });
  for (const event of [insert, remove, truncate, read, message]) {
    for (const { key, value } of recordsOf(encoder, event)) {
      for (const json of [key, value]) {
        if (json === null) continue;
        const { schema, payload } = JSON.parse(json) as { schema: Schema; payload: unknown };
        fits(schema, payload, event.op);
      }
    }
  }
});

function fits(schema: Schema, payload: unknown, path: string): void {
  if (payload === null) {
    expect(schema.optional, path).toBe(true);
    return;
  }
  if (schema.type !== 'struct') {
    const kind = schema.type === 'string' || schema.type === 'bytes' ? 'string' : 'number';
    expect(typeof payload, path).toBe(kind);
    return;
  }
  expect(Object.keys(payload as object), path).toEqual(schema.fields?.map(({ field }) => field));
  for (const member of schema.fields ?? []) {
    const name = member.field as string;
    fits(member, (payload as Record<string, unknown>)[name], `${path}.${name}`);
  }
}
