import { expect, test } from 'vitest';
import type { RelationMessage } from '../../../../connectors/postgres/pgoutput/messages.ts';
import {
  HEARTBEAT_PREFIX,
  TransactionDecoder,
} from '../../../../connectors/postgres/pgoutput/transaction-decoder.ts';
import type { TailraceError } from '../../../../src/errors/tailrace-error.ts';
import type { RelationDefinition } from '../../../../src/events/relation.ts';
import { columnType } from '../../column-types.ts';
import { describeEvent, RecordingLog } from '../recording-log.ts';
import {
  type EncodableMessage,
  encodeLogicalMessage,
  encodeMessage,
  encodeRow,
  UNCHANGED,
} from './encode-message.ts';

const OID = 16_400;

function relationMessage(columns: readonly string[] = ['id', 'v'], oid = OID): RelationMessage {
  return {
    kind: 'relation',
    oid,
    schema: 'public',
    table: `t${oid - OID || ''}`,
    replicaIdentity: 'default',
    columns: columns.map((name, i) => ({ name, typeOid: 25, typmod: -1, inIdentity: i === 0 })),
  };
}

function definitionOf(message: RelationMessage, excluded: readonly string[] = []): RelationDefinition {
  const { oid, schema, table, replicaIdentity } = message;
  return {
    oid,
    schema,
    table,
    replicaIdentity,
    columns: message.columns.map(({ name, inIdentity }, i) => ({
      name,
      attnum: i + 1,
      type: columnType('text'),
      inIdentity,
      nullable: !inIdentity,
      captured: !excluded.includes(name),
    })),
    key: [0],
  };
}

class Harness {
  readonly log: RecordingLog;
  readonly decoder: TransactionDecoder;

  constructor(held = 0n) {
    this.log = new RecordingLog(held);
    this.decoder = new TransactionDecoder(this.log, held);
  }

  /** Hands over messages; a Relation is answered as it is. */
  take(...messages: readonly (EncodableMessage | Buffer)[]): void {
    for (const message of messages) this.takeOne(message);
  }

  takeOne(message: EncodableMessage | Buffer, walLsn = 0n): void {
    const bytes = Buffer.isBuffer(message) ? message : encodeMessage(message);
    // Inside a larger buffer, as from a socket.
    const frame = Buffer.concat([Buffer.alloc(25, 0xee), bytes, Buffer.alloc(7, 0xee)]);
    const asked = this.decoder.decode(frame, 25, 25 + bytes.length, walLsn);
    if (asked !== undefined) this.decoder.define(asked, definitionOf(asked));
    frame.fill(0);
  }

  get events(): readonly string[] {
    return this.log.events.map((event) => describeEvent(event));
  }
}

function begin(commitLsn: bigint, xid = 700): EncodableMessage {
  return { kind: 'begin', commitLsn, commitTimeUs: 1_700_000_000_000_000n, xid };
}

function commit(commitLsn: bigint, endLsn = commitLsn + 0x30n): EncodableMessage {
  return { kind: 'commit', commitLsn, endLsn, commitTimeUs: 1_700_000_000_000_000n };
}

function insert(...columns: readonly (string | null)[]): Buffer {
  return encodeRow('I', OID, { new: columns });
}

test('a transaction reaches the log whole, with its header, and its bytes are copied', () => {
  const harness = new Harness();
  harness.take(begin(0x100n), relationMessage(), insert('1', 'a'));
  harness.takeOne(encodeRow('U', OID, { key: ['1', null], new: ['2', UNCHANGED] }), 0x90n);
  expect(harness.decoder.inTransaction).toBe(true);
  expect(harness.log.transactions).toEqual([]);
  harness.take(encodeRow('D', OID, { key: ['2', null] }), commit(0x100n));
  expect(harness.log.transactions).toMatchObject([
    { commitLsn: 0x100n, endLsn: 0x130n, xid: 700, commitTimeUs: 1_700_000_000_000_000n },
  ]);
  expect(harness.events).toEqual([
    'insert public.t -> (1, a)',
    'update public.t key (1, not-captured) -> (2, unchanged)',
    'delete public.t key (2, not-captured)',
  ]);
  expect(harness.log.events[1]?.walLsn).toBe(0x90n);
  expect(harness.decoder.progress).toBe(0x130n);
});

test('the origin of a transaction is part of its header', () => {
  const harness = new Harness();
  harness.take(begin(0x100n), { kind: 'origin', commitLsn: 0x42n, name: 'elsewhere' }, relationMessage());
  harness.take(insert('1', null), commit(0x100n), begin(0x200n), insert('2', null), commit(0x200n));
  expect(harness.log.transactions[0]?.origin).toEqual({ name: 'elsewhere', commitLsn: 0x42n });
  expect(harness.log.transactions[1]).not.toHaveProperty('origin');
});

test('a transaction without events for us does not reach the log but is progress', () => {
  const harness = new Harness();
  harness.take(begin(0x100n), commit(0x100n));
  expect(harness.log.transactions).toEqual([]);
  expect(harness.decoder.progress).toBe(0x130n);
});

test('what the log already has is dropped whole, up to exactly its end', () => {
  const harness = new Harness(0x130n);
  harness.take(begin(0x100n), relationMessage(), insert('1', 'a'), commit(0x100n, 0x130n));
  expect(harness.log.transactions).toEqual([]);
  expect(harness.decoder.replayed).toBe(1);
  // Its commit record begins where the one before ended.
  harness.take(begin(0x130n), insert('2', 'b'), commit(0x130n));
  expect(harness.events).toEqual(['insert public.t -> (2, b)']);
  expect(harness.decoder.replayed).toBe(1);
});

test('a start position inside a commit record is an error: dropping that transaction would lose it', () => {
  const harness = new Harness(0x110n);
  harness.take(begin(0x100n), relationMessage(), insert('1', 'a'));
  expect(() => harness.take(commit(0x100n, 0x130n))).toThrow(/around the start position 0\/110/);
});

test('messages: transactional ones in order, the others beside, heartbeats never', () => {
  const harness = new Harness(0x80n);
  harness.take(begin(0x100n), relationMessage(), insert('1', 'a'));
  harness.take(
    encodeLogicalMessage(0xf0n, 'app', 'in', true),
    encodeLogicalMessage(0xf1n, 'app', 'out', false),
  );
  harness.take(encodeLogicalMessage(0xf2n, HEARTBEAT_PREFIX, '', true), commit(0x100n));
  harness.take(encodeLogicalMessage(0x140n, HEARTBEAT_PREFIX, '', false));
  harness.take(encodeLogicalMessage(0x80n, 'app', 'held', false));
  expect(harness.events).toEqual(['insert public.t -> (1, a)', 'message app in']);
  expect(harness.log.events[1]?.relation).toMatchObject({ oid: 0, columns: [] });
  expect(harness.log.messages).toEqual([
    { lsn: 0xf1n, body: encodeLogicalMessage(0xf1n, 'app', 'out', false).subarray(1) },
  ]);
  expect(harness.decoder.progress).toBe(0x140n);
  expect(harness.decoder.replayed).toBe(1);
});

test('a transaction with only a heartbeat does not reach the log', () => {
  const harness = new Harness();
  harness.take(begin(0x100n), encodeLogicalMessage(0xf2n, HEARTBEAT_PREFIX, '', true), commit(0x100n));
  expect(harness.log.transactions).toEqual([]);
  expect(harness.decoder.progress).toBe(0x130n);
});

test('TRUNCATE of several tables is one event for each', () => {
  const harness = new Harness();
  const other = relationMessage(['k'], OID + 1);
  harness.take(begin(0x100n), relationMessage(), other);
  harness.take({ kind: 'truncate', cascade: true, restartIdentity: false, relationOids: [OID + 1, OID] });
  harness.take(commit(0x100n));
  expect(harness.events).toEqual(['truncate public.t1 cascade', 'truncate public.t cascade']);
});

test('a new shape holds for the rows behind it, the old one for those before', () => {
  const harness = new Harness();
  harness.take(begin(0x100n), relationMessage(['id', 'v']), insert('1', 'a'));
  harness.take(relationMessage(['id', 'v', 'w']), insert('2', 'b', 'c'), commit(0x100n));
  harness.take(begin(0x200n), relationMessage(['id', 'v', 'w']), insert('3', 'd', 'e'), commit(0x200n));
  expect(harness.events).toEqual([
    'insert public.t -> (1, a)',
    'insert public.t -> (2, b, c)',
    'insert public.t -> (3, d, e)',
  ]);
  expect(harness.log.relations).toHaveLength(2);
});

test('excluded columns never reach the log', () => {
  const { decoder, log } = new Harness();
  const message = relationMessage(['id', 'card', 'v']);
  const feed = (bytes: Buffer): void => void decoder.decode(bytes, 0, bytes.length, 0n);
  feed(encodeMessage(begin(0x100n)));
  feed(encodeMessage(message));
  decoder.define(message, definitionOf(message, ['card']));
  feed(encodeRow('I', OID, { new: ['1', '4111111111111111', 'a'] }));
  feed(encodeRow('U', OID, { old: ['1', '4111111111111111', 'a'], new: ['1', '5500000000000004', 'b'] }));
  feed(encodeRow('D', OID, { old: ['1', '5500000000000004', 'b'] }));
  feed(encodeMessage(commit(0x100n)));
  expect(log.events.map((event) => describeEvent(event))).toEqual([
    'insert public.t -> (1, not-captured, a)',
    'update public.t full (1, not-captured, a) -> (1, not-captured, b)',
    'delete public.t full (1, not-captured, b)',
  ]);
  expect(Buffer.concat(log.events.map(({ body }) => body)).toString('latin1')).not.toMatch(/4111|5500/);
});

test('a type that the catalog has forgotten is named as the stream named it', () => {
  const { decoder, log } = new Harness();
  const message = relationMessage(['id']);
  const bytes = encodeMessage({ kind: 'type', oid: 99_000, schema: 'app', name: 'mood' });
  decoder.decode(bytes, 0, bytes.length, 0n);
  const definition = definitionOf(message);
  const [column] = definition.columns;
  if (column === undefined) throw new Error('no column');
  const unknown = {
    oid: 99_000,
    name: 'oid 99000',
    schema: 'pg_catalog',
    kind: 'unknown',
    typmod: -1,
  } as const;
  decoder.define(message, { ...definition, columns: [{ ...column, type: unknown }] });
  expect(log.relations[0]?.columns[0]?.type).toEqual({ ...unknown, name: 'mood', schema: 'app' });
});

const violations: readonly (readonly [string, readonly (EncodableMessage | Buffer)[], RegExp])[] = [
  [
    'a row outside a transaction',
    [begin(1n), relationMessage(), commit(1n), insert('1', 'a')],
    /insert outside a transaction/,
  ],
  ['a row of an unknown relation', [begin(1n), insert('1', 'a')], /Relation 16400 was not described/],
  [
    'a row of another width',
    [begin(1n), relationMessage(), insert('1')],
    /A tuple of 1 columns for a relation of 2/,
  ],
  ['Begin in a transaction', [begin(1n), begin(2n)], /Begin inside a transaction/],
  ['Commit outside a transaction', [commit(1n)], /Commit outside a transaction/],
  ['the Commit of another transaction', [begin(0x10n), commit(0x20n)], /in the transaction of 0\/10/],
  ['a Commit that ends before it begins', [begin(0x10n), commit(0x10n, 0x10n)], /Commit of 0\/10 to 0\/10/],
  [
    'commits out of order',
    [begin(0x10n), commit(0x10n), begin(0x10n)],
    /commits at 0\/10 after one at 0\/10/,
  ],
  [
    'an origin after rows',
    [begin(1n), relationMessage(), insert('1', 'a'), { kind: 'origin', commitLsn: 1n, name: 'o' }],
    /Origin not directly after Begin/,
  ],
  [
    'a transactional message outside',
    [encodeLogicalMessage(1n, 'p', 'c', true)],
    /transactional message outside/,
  ],
  [
    'TRUNCATE of an unknown relation',
    [begin(1n), { kind: 'truncate', cascade: false, restartIdentity: false, relationOids: [5] }],
    /Relation 5 was not described/,
  ],
  [
    'streaming',
    [{ kind: 'stream-start', xid: 1, firstSegment: true }],
    /stream-start message, which was not asked for/,
  ],
  [
    'two-phase',
    [{ kind: 'begin-prepare', prepareLsn: 1n, endLsn: 2n, prepareTimeUs: 0n, xid: 1, gid: 'g' }],
    /begin-prepare message, which was not asked for/,
  ],
  ['an unknown message', [Buffer.from('?')], /Unknown pgoutput message/],
  ['a row without a relation id', [begin(1n), Buffer.from('I\0\0')], /relation id goes beyond the end/],
];

test.each(violations)('%s is E_PROTOCOL, final', (_, messages, what) => {
  const harness = new Harness();
  const error = thrownBy(() => harness.take(...messages));
  expect(error).toMatchObject({ code: 'E_PROTOCOL', retriable: false });
  expect(error.message).toMatch(what);
});

test('the error names the WAL position and shows 32 bytes around the place', () => {
  const harness = new Harness();
  harness.take(begin(0x100n), relationMessage());
  const row = insert('1', 'a'.repeat(100));
  row.write('b', 14);
  const error = thrownBy(() => harness.takeOne(row, 0x16_b374_d848n));
  expect(error.message).toContain("Column 1 has the unknown kind 'b' (0x62)");
  expect(error.message).toContain('near WAL position 16/B374D848');
  expect(error.message).toContain(`${row.length}-byte pgoutput message`);
  const hex = /hexadecimal: ([0-9a-f]+)$/.exec(error.message)?.[1] ?? '';
  expect(hex).toHaveLength(64);
  expect(row.toString('hex')).toContain(hex);
  expect(error.message).not.toContain('a'.repeat(20));
});

function thrownBy(act: () => void): TailraceError {
  try {
    act();
  } catch (error) {
    return error as TailraceError;
  }
  throw new Error('nothing was thrown');
}
