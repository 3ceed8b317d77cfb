import { DatabaseError } from 'pg';
import { expect, test } from 'vitest';
import { explainStreamFailure } from '../../../../connectors/postgres/replication/stream-errors.ts';
import type { ErrorCode } from '../../../../src/errors/codes.ts';
import type { SlotFacts } from '../../../../src/pipeline/source.ts';

const NAMES = { slot: 'tailrace_shop', publication: 'shop_pub', database: 'shop', host: 'db:5432' };

const SLOT: SlotFacts = { name: 'tailrace_shop', plugin: 'pgoutput', database: 'shop', active: false };

const LOST: SlotFacts = { ...SLOT, walStatus: 'lost', confirmedFlushLsn: 0x1_0000_00ffn };

const cases: readonly {
  readonly name: string;
  readonly sqlState: string;
  readonly streaming?: boolean;
  readonly slot?: SlotFacts | 'unknown' | undefined;
  readonly code: ErrorCode;
  readonly retriable: boolean;
  readonly says: RegExp;
}[] = [
  {
    name: 'no such slot',
    sqlState: '42704',
    code: 'E_SLOT_MISSING',
    retriable: false,
    says: /"tailrace_shop" does not exist on db:5432/,
  },
  {
    name: 'no such publication',
    sqlState: '42704',
    streaming: true,
    code: 'E_PUBLICATION',
    retriable: false,
    says: /"shop_pub" did not exist when changes were written/,
  },
  {
    name: 'WAL removed',
    sqlState: '55000',
    slot: LOST,
    code: 'E_SLOT_LOST',
    retriable: false,
    says: /invalidated.*\(wal_removed\).*confirmed 1\/FF/,
  },
  {
    name: 'idle for too long',
    sqlState: '55000',
    slot: { ...LOST, invalidationReason: 'idle_timeout' },
    code: 'E_SLOT_LOST',
    retriable: false,
    says: /\(idle_timeout\)/,
  },
  {
    name: 'a WAL segment gone while streaming',
    sqlState: '58P01',
    streaming: true,
    slot: LOST,
    code: 'E_SLOT_LOST',
    retriable: false,
    says: /invalidated/,
  },
  {
    name: 'a file missing for another reason',
    sqlState: '58P01',
    streaming: true,
    slot: SLOT,
    code: 'E_STREAM',
    retriable: true,
    says: /SQLSTATE 58P01/,
  },
  {
    name: 'physical',
    sqlState: '55000',
    slot: { ...SLOT, plugin: undefined, database: undefined },
    code: 'E_SLOT_FOREIGN',
    retriable: false,
    says: /is a physical slot/,
  },
  {
    name: 'another plugin',
    sqlState: '55000',
    slot: { ...SLOT, plugin: 'wal2json' },
    code: 'E_SLOT_FOREIGN',
    retriable: false,
    says: /output plugin wal2json/,
  },
  {
    name: 'another database',
    sqlState: '55000',
    slot: { ...SLOT, database: 'other' },
    code: 'E_SLOT_FOREIGN',
    retriable: false,
    says: /belongs to database other/,
  },
  {
    name: 'dropped meanwhile',
    sqlState: '55000',
    slot: undefined,
    code: 'E_SLOT_MISSING',
    retriable: false,
    says: /does not exist/,
  },
  {
    name: 'shutting down',
    sqlState: '57P01',
    streaming: true,
    code: 'E_CONNECT',
    retriable: true,
    says: /SQLSTATE 57P01/,
  },
  { name: 'no privilege', sqlState: '42501', code: 'E_PRIVILEGE', retriable: false, says: /privilege/ },
  {
    name: 'a value that cannot be encoded',
    sqlState: '22P05',
    streaming: true,
    code: 'E_ENCODING',
    retriable: false,
    says: /UTF-8/,
  },
];

test.each(cases)(
  '$name ($sqlState) is $code',
  ({ sqlState, streaming = false, code, retriable, says, ...given }) => {
    const error = new DatabaseError('words of the server, in any language', 1, 'error');
    error.code = sqlState;
    const slot = 'slot' in given ? given.slot : 'unknown';
    const explained = explainStreamFailure({ error, streaming, slot }, NAMES);
    expect(explained).toMatchObject({ code, retriable, cause: error });
    expect(explained.message).toMatch(says);
  },
);

test('bytes that are no message are E_PROTOCOL', () => {
  const error = new DatabaseError('received invalid response: 7b', 1, 'error');
  const explained = explainStreamFailure({ error, streaming: true, slot: 'unknown' }, NAMES);
  expect(explained).toMatchObject({ code: 'E_PROTOCOL', retriable: false });
});

test('a lost connection is retriable, a defect of ours is not', () => {
  const lost = explainStreamFailure(
    { error: new Error('Connection terminated unexpectedly'), streaming: true, slot: 'unknown' },
    NAMES,
  );
  expect(lost).toMatchObject({ code: 'E_CONNECT', retriable: true });
  const defect = explainStreamFailure(
    { error: new TypeError('x is undefined'), streaming: true, slot: 'unknown' },
    NAMES,
  );
  expect(defect).toMatchObject({ code: 'E_INTERNAL', retriable: false });
});
