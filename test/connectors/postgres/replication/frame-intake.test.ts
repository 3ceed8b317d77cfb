import { expect, test } from 'vitest';
import type { RelationMessage } from '../../../../connectors/postgres/pgoutput/messages.ts';
import { FrameIntake } from '../../../../connectors/postgres/replication/frame-intake.ts';
import { ProgressMarks } from '../../../../connectors/postgres/replication/progress-marks.ts';
import { ReadGate } from '../../../../connectors/postgres/replication/read-gate.ts';
import { systemClock } from '../../../../src/clock.ts';
import type { TailraceError } from '../../../../src/errors/tailrace-error.ts';
import type { RelationDefinition } from '../../../../src/events/relation.ts';
import { waitFor } from '../../../support/wait.ts';
import { columnType } from '../../column-types.ts';
import { type EncodableMessage, encodeMessage, encodeRow } from '../pgoutput/encode-message.ts';
import { describeEvent, RecordingLog } from '../recording-log.ts';

const OID = 16_400;

const RELATION: RelationMessage = {
  kind: 'relation',
  oid: OID,
  schema: 'public',
  table: 't',
  replicaIdentity: 'default',
  columns: [{ name: 'id', typeOid: 25, typmod: -1, inIdentity: true }],
};

const DEFINITION: RelationDefinition = {
  oid: OID,
  schema: 'public',
  table: 't',
  replicaIdentity: 'default',
  columns: [
    { name: 'id', attnum: 1, type: columnType('text'), inIdentity: true, nullable: false, captured: true },
  ],
  key: [0],
};

class Harness {
  readonly log = new RecordingLog(0x10n);
  readonly socket: string[] = [];
  readonly failures: TailraceError[] = [];
  readonly lookUps: PromiseWithResolvers<RelationDefinition>[] = [];
  replies = 0;
  readonly gate = new ReadGate(() => {});
  readonly intake: FrameIntake;

  constructor() {
    this.gate.attach({ pause: () => this.socket.push('pause'), resume: () => this.socket.push('resume') });
    this.intake = new FrameIntake({
      into: this.log,
      from: 0x10n,
      gate: this.gate,
      marks: new ProgressMarks(this.log, systemClock),
      clock: systemClock,
      lookUp: () => {
        const asked = Promise.withResolvers<RelationDefinition>();
        this.lookUps.push(asked);
        return asked.promise;
      },
      onReplyRequested: () => (this.replies += 1),
      onFailed: (error) => this.failures.push(error),
    });
  }

  /** As from a socket: in a buffer that is used again. */
  data(message: EncodableMessage | Buffer): void {
    const bytes = Buffer.isBuffer(message) ? message : encodeMessage(message);
    const header = Buffer.alloc(25);
    header.write('w');
    this.frame(Buffer.concat([header, bytes]));
  }

  keepalive(walEnd: bigint, replyRequested = false): void {
    const frame = Buffer.alloc(18);
    frame.write('k');
    frame.writeBigUInt64BE(walEnd, 1);
    frame[17] = replyRequested ? 1 : 0;
    this.frame(frame);
  }

  frame(frame: Buffer): void {
    this.intake.frame(frame);
    frame.fill(0xff);
  }

  begin(commitLsn: bigint): void {
    this.data({ kind: 'begin', commitLsn, commitTimeUs: 0n, xid: 1 });
  }

  insert(value: string): void {
    this.data(encodeRow('I', OID, { new: [value] }));
  }

  commit(commitLsn: bigint): void {
    this.data({ kind: 'commit', commitLsn, endLsn: commitLsn + 0x10n, commitTimeUs: 0n });
  }

  async settle(): Promise<void> {
    await waitFor(() => !this.gate.stopped, { describe: 'the look-up to be worked off', intervalMs: 1 });
  }

  get events(): readonly string[] {
    return this.log.events.map((event) => describeEvent(event));
  }
}

test('frames behind an unknown relation wait in order while the socket is held', async () => {
  const harness = new Harness();
  harness.begin(0x100n);
  harness.data(RELATION);
  harness.insert('1');
  harness.commit(0x100n);
  harness.begin(0x200n);
  harness.insert('2');
  harness.data(RELATION);
  harness.insert('3');
  harness.commit(0x200n);
  harness.keepalive(0x300n, true);
  // The server does not wait for our look-up.
  expect(harness.replies).toBe(1);
  expect(harness.socket).toEqual(['pause']);
  expect(harness.log.transactions).toEqual([]);
  harness.lookUps[0]?.resolve(DEFINITION);
  await waitFor(() => harness.lookUps.length === 2, { describe: 'the second look-up' });
  expect(harness.events).toEqual(['insert public.t -> (1)']);
  expect(harness.intake.received).toBe(0x110n);
  harness.lookUps[1]?.resolve(DEFINITION);
  await harness.settle();
  expect(harness.events).toEqual([
    'insert public.t -> (1)',
    'insert public.t -> (2)',
    'insert public.t -> (3)',
  ]);
  expect(harness.log.appended).toBe(0x300n);
  expect(harness.socket).toEqual(['pause', 'resume']);
  expect(harness.replies).toBe(1);
  harness.begin(0x400n);
  harness.insert('4');
  harness.commit(0x400n);
  expect(harness.events).toHaveLength(4);
});

test('a look-up that fails ends the intake, with what was begun taken back', async () => {
  const harness = new Harness();
  harness.begin(0x100n);
  harness.data(RELATION);
  harness.lookUps[0]?.resolve(DEFINITION);
  await harness.settle();
  harness.insert('1');
  harness.data({ ...RELATION, oid: OID + 1 });
  expect(harness.log.inTransaction).toBe(true);
  harness.lookUps[1]?.reject(new RangeError('no catalog'));
  await waitFor(() => harness.failures.length > 0, { describe: 'the failure' });
  expect(harness.failures).toMatchObject([{ message: 'no catalog' }]);
  expect(harness.log).toMatchObject({ inTransaction: false, rollbacks: 1 });
  harness.insert('2');
  harness.commit(0x100n);
  expect(harness.failures).toHaveLength(1);
  expect(harness.events).toEqual([]);
});

test('what waits is checked like everything else', async () => {
  const harness = new Harness();
  harness.begin(0x100n);
  harness.data(RELATION);
  harness.insert('1');
  harness.data(Buffer.from('?'));
  harness.insert('2');
  harness.lookUps[0]?.resolve(DEFINITION);
  await waitFor(() => harness.failures.length > 0, { describe: 'the failure' });
  expect(harness.failures).toMatchObject([{ code: 'E_PROTOCOL' }]);
  expect(harness.log).toMatchObject({ inTransaction: false, rollbacks: 1 });
});

test('stopping in the middle of a look-up takes nothing afterwards', async () => {
  const harness = new Harness();
  harness.begin(0x100n);
  harness.data(RELATION);
  harness.insert('1');
  harness.commit(0x100n);
  harness.intake.stop();
  expect(harness.socket).toEqual(['pause', 'resume']);
  harness.lookUps[0]?.resolve(DEFINITION);
  await new Promise((resolve) => setImmediate(resolve));
  expect(harness.log.transactions).toEqual([]);
  expect(harness.log.rollbacks).toBe(0);
  expect(harness.failures).toEqual([]);
});

test('working off a long queue yields to timers and sockets', async () => {
  const harness = new Harness();
  harness.begin(0x100n);
  harness.data(RELATION);
  const rows = 60_000;
  for (let i = 0; i < rows; i++) harness.insert('x'.repeat(20));
  harness.commit(0x100n);
  harness.lookUps[0]?.resolve(DEFINITION);
  let turns = 0;
  let longestMs = 0;
  let lastMs = performance.now();
  await waitFor(
    () => {
      longestMs = Math.max(longestMs, performance.now() - lastMs);
      lastMs = performance.now();
      turns += 1;
      return !harness.gate.stopped;
    },
    { intervalMs: 0, describe: 'the queue to be worked off' },
  );
  expect(harness.log.events).toHaveLength(rows);
  expect(turns).toBeGreaterThan(2);
  expect(longestMs).toBeLessThan(1000);
});

test('a keepalive is progress between transactions only', () => {
  const harness = new Harness();
  harness.keepalive(0x80n);
  expect(harness.log.appended).toBe(0x80n);
  expect(harness.intake.received).toBe(0x80n);
  harness.begin(0x100n);
  harness.keepalive(0xf0n, true);
  expect(harness.log.marks).toEqual([0x80n]);
  expect(harness.intake.received).toBe(0x80n);
  expect(harness.intake.walEnd).toBe(0xf0n);
  expect(harness.replies).toBe(1);
  harness.commit(0x100n);
  expect(harness.intake.received).toBe(0x110n);
});

test('a transaction without events is progress, told in the end also when nothing follows', async () => {
  const harness = new Harness();
  harness.keepalive(0x80n);
  harness.begin(0x100n);
  harness.commit(0x100n);
  expect(harness.log.appended).toBe(0x80n);
  await waitFor(() => harness.log.appended === 0x110n, { describe: 'the mark' });
  expect(harness.log.transactions).toEqual([]);
});

test('who is told by the log that it has a transaction finds it received', async () => {
  const harness = new Harness();
  harness.begin(0x100n);
  harness.data(RELATION);
  harness.lookUps[0]?.resolve(DEFINITION);
  await harness.settle();
  const received: bigint[] = [];
  harness.log.onSynced(() => received.push(harness.intake.received));
  harness.insert('1');
  harness.commit(0x100n);
  harness.keepalive(0x200n);
  expect(received).toEqual([0x110n, 0x200n]);
});

test('a log that breaks at the commit and refuses the rollback is one failure', async () => {
  const harness = new Harness();
  harness.begin(0x100n);
  harness.data(RELATION);
  harness.lookUps[0]?.resolve(DEFINITION);
  await harness.settle();
  harness.log.commit = () => {
    throw new RangeError('broken');
  };
  harness.log.rollback = () => {
    throw new RangeError('still broken');
  };
  harness.insert('1');
  harness.commit(0x100n);
  harness.keepalive(0x200n);
  expect(harness.failures).toMatchObject([{ message: 'broken' }]);
});

test('back-pressure holds the socket until the log is ready', async () => {
  const harness = new Harness();
  harness.log.close();
  harness.keepalive(0x80n);
  harness.intake.read(30);
  await waitFor(() => harness.socket.length > 0, { describe: 'the socket to be held' });
  expect(harness.gate.stopped).toBe(true);
  harness.log.open();
  await waitFor(() => harness.socket.length > 1, { describe: 'the socket to be released' });
  expect(harness.socket).toEqual(['pause', 'resume']);
});

test('a frame of no known kind is E_PROTOCOL', () => {
  const harness = new Harness();
  harness.frame(Buffer.from('zebra'));
  expect(harness.failures).toMatchObject([{ code: 'E_PROTOCOL', retriable: false }]);
  expect(harness.failures[0]?.message).toMatch(/neither XLogData nor a keepalive/);
});
