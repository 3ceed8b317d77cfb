import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  dataLsn,
  dataSentUs,
  encodeStatus,
  frameKind,
  readKeepalive,
} from '../../../../connectors/postgres/replication/frames.ts';
import { startReplication } from '../../../../connectors/postgres/replication/start-replication.ts';

const lsn = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

test('a status message says the confirmed position three times, exactly', () => {
  fc.assert(
    fc.property(lsn, fc.nat(2 ** 31), fc.boolean(), (confirmed, nowMs, replyRequested) => {
      const status = encodeStatus({ confirmed, nowMs, replyRequested });
      expect(status).toHaveLength(34);
      expect(status.toString('latin1', 0, 1)).toBe('r');
      for (const at of [1, 9, 17]) expect(status.readBigUInt64BE(at)).toBe(confirmed);
      expect(status.readBigInt64BE(25)).toBe((BigInt(nowMs) - 946_684_800_000n) * 1000n);
      expect(status[33]).toBe(replyRequested ? 1 : 0);
    }),
  );
});

test('headers of what the server sends', () => {
  const data = Buffer.alloc(26);
  data.write('w');
  data.writeBigUInt64BE(0xffff_ffff_0000_0001n, 1);
  data.writeBigInt64BE(848_543_575_294_397n, 17);
  expect(frameKind(data)).toBe('data');
  expect(dataLsn(data)).toBe(0xffff_ffff_0000_0001n);
  expect(dataSentUs(data)).toBe(1_795_228_375_294_397);
  const keepalive = Buffer.alloc(18);
  keepalive.write('k');
  keepalive.writeBigUInt64BE(7n, 1);
  expect(frameKind(keepalive)).toBe('keepalive');
  expect(readKeepalive(keepalive)).toEqual({ walEnd: 7n, replyRequested: false });
  keepalive[17] = 1;
  expect(readKeepalive(keepalive).replyRequested).toBe(true);
});

test('anything else is a violation', () => {
  for (const frame of [
    '',
    'w',
    `w${'\0'.repeat(24)}`,
    `k${'\0'.repeat(16)}`,
    `k${'\0'.repeat(18)}`,
    'z'.repeat(40),
  ]) {
    expect(() => frameKind(Buffer.from(frame, 'latin1'))).toThrow(/neither XLogData nor a keepalive/);
  }
});

test('START_REPLICATION quotes names as its own grammar and the list inside it want', () => {
  const command = startReplication({
    slot: 'tailrace_shop',
    publication: `it's "my" pub, \\ yes`,
    from: 0x16_b374_d848n,
    serverVersion: 180_004,
  });
  expect(command).toBe(
    `START_REPLICATION SLOT "tailrace_shop" LOGICAL 16/B374D848 (proto_version '1', ` +
      `publication_names '"it''s ""my"" pub, \\ yes"', messages 'true')`,
  );
});

test('a server before 14 is not asked for messages', () => {
  const command = startReplication({ slot: 's', publication: 'p', from: 0n, serverVersion: 130_011 });
  expect(command).toBe(`START_REPLICATION SLOT "s" LOGICAL 0/0 (proto_version '1', publication_names '"p"')`);
});
