import fc from 'fast-check';
import type { RelationMessage } from '../../../../connectors/postgres/pgoutput/messages.ts';
import type { Column, EncodableMessage } from './encode-message.ts';
import { UNCHANGED } from './encode-message.ts';

const lsn = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const timeUs = fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n });
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const text = fc.string({ unit: 'binary', maxLength: 63 }).map((value) => value.replaceAll('\0', ''));
const streamed = fc.boolean();
const gid = text;

export const relationMessage: fc.Arbitrary<RelationMessage> = fc.record({
  kind: fc.constant('relation' as const),
  oid: uint32,
  schema: text.map((value) => value || 'pg_catalog'),
  table: text,
  replicaIdentity: fc.constantFrom('default', 'nothing', 'full', 'index'),
  columns: fc.array(
    fc.record({
      name: text,
      typeOid: uint32,
      typmod: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      inIdentity: fc.boolean(),
    }),
    { maxLength: 40 },
  ),
});

const type = fc.record({
  kind: fc.constant('type' as const),
  oid: uint32,
  schema: text.map((value) => value || 'pg_catalog'),
  name: text,
});

const truncate = fc.record({
  kind: fc.constant('truncate' as const),
  cascade: fc.boolean(),
  restartIdentity: fc.boolean(),
  relationOids: fc.array(uint32, { maxLength: 20 }),
});

const commit = { commitLsn: lsn, endLsn: lsn, commitTimeUs: timeUs };
const prepare = { prepareLsn: lsn, endLsn: lsn, prepareTimeUs: timeUs, xid: uint32, gid };

/** Any message but rows and logical messages, and whether it is between Stream Start and Stream Stop. */
export const anyMessage: fc.Arbitrary<{ readonly message: EncodableMessage; readonly streamed: boolean }> = fc
  .tuple(
    fc.oneof(
      fc.record({ kind: fc.constant('begin' as const), commitLsn: lsn, commitTimeUs: timeUs, xid: uint32 }),
      fc.record({ kind: fc.constant('commit' as const), ...commit }),
      fc.record({ kind: fc.constant('origin' as const), commitLsn: lsn, name: text }),
      relationMessage,
      type,
      truncate,
      fc.record({ kind: fc.constant('stream-start' as const), xid: uint32, firstSegment: fc.boolean() }),
      fc.record({ kind: fc.constant('stream-stop' as const) }),
      fc.record({ kind: fc.constant('stream-commit' as const), xid: uint32, ...commit }),
      fc.record({ kind: fc.constant('stream-abort' as const), xid: uint32, subXid: uint32 }),
      fc.record({
        kind: fc.constant('stream-abort' as const),
        xid: uint32,
        subXid: uint32,
        abort: fc.record({ lsn, timeUs }),
      }),
      fc.record({ kind: fc.constant('begin-prepare' as const), ...prepare }),
      fc.record({ kind: fc.constantFrom('prepare' as const, 'stream-prepare' as const), ...prepare }),
      fc.record({ kind: fc.constant('commit-prepared' as const), ...commit, xid: uint32, gid }),
      fc.record({
        kind: fc.constant('rollback-prepared' as const),
        prepareEndLsn: lsn,
        rollbackEndLsn: lsn,
        prepareTimeUs: timeUs,
        rollbackTimeUs: timeUs,
        xid: uint32,
        gid,
      }),
    ),
    streamed,
    uint32,
  )
  .map(([message, inStream, streamedXid]) => {
    const carriesXid = message.kind === 'relation' || message.kind === 'type' || message.kind === 'truncate';
    return { message: inStream && carriesXid ? { ...message, streamedXid } : message, streamed: inStream };
  });

/** Text of any kind, null, or unchanged. */
export const anyColumn: fc.Arbitrary<Column> = fc.oneof(
  { weight: 6, arbitrary: fc.string({ unit: 'binary', maxLength: 300 }) },
  { weight: 2, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.constant(UNCHANGED) },
);
