import { DatabaseError } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { acquireSlot } from '../../../../connectors/postgres/replication/slot-acquisition.ts';
import { type SlotHolder, slotActive } from '../../../../connectors/postgres/replication/stream-errors.ts';
import { manualClock } from './manual-clock.ts';

const NAMES = { slot: 'tailrace_shop', publication: 'p', database: 'shop', host: 'db:5432' };
const HOLDER: SlotHolder = { pid: 4711, applicationName: 'tailrace/stream', address: '10.0.0.7' };

let time: ReturnType<typeof manualClock>;
beforeEach(() => {
  time = manualClock();
});
afterEach(() => time.release());

function databaseError(code: string): DatabaseError {
  const error = new DatabaseError('as the server says', 1, 'error');
  error.code = code;
  return error;
}

function acquire(
  walSenderTimeoutMs: number,
  start: () => Promise<void>,
  signal = new AbortController().signal,
) {
  const waits: (SlotHolder | undefined)[] = [];
  const outcome = acquireSlot({
    walSenderTimeoutMs,
    clock: time.clock,
    signal,
    start,
    holder: async () => HOLDER,
    onWaiting: (holder) => waits.push(holder),
    giveUp: (holder, waitedMs, cause) => slotActive(holder, waitedMs, NAMES, cause),
  }).then(
    () => 'acquired',
    (error: unknown) => error,
  );
  return { outcome, waits };
}

test('tries until the holder has gone, and says once that it waits', async () => {
  let tries = 0;
  const { outcome, waits } = acquire(60_000, async () => {
    tries += 1;
    if (time.clock.monotonicMs() < 20_000) throw databaseError('55006');
  });
  await time.advance(30_000);
  expect(await outcome).toBe('acquired');
  expect(tries).toBeGreaterThan(10);
  expect(waits).toEqual([HOLDER]);
});

test.each([
  [2000, 7],
  [0, 60],
])('with wal_sender_timeout %d ms the holder is named after %d s', async (walSenderTimeoutMs, seconds) => {
  const { outcome } = acquire(walSenderTimeoutMs, async () => {
    throw databaseError('55006');
  });
  await time.advance(seconds * 1000 - 500);
  expect(await Promise.race([outcome, Promise.resolve('waiting')])).toBe('waiting');
  await time.advance(1000);
  const error = await outcome;
  expect(error).toMatchObject({ code: 'E_SLOT_ACTIVE', retriable: false });
  expect(String(error)).toContain(
    'process 4711 of the server, application "tailrace/stream", from 10.0.0.7; waited',
  );
});

test('any other refusal, and an abort, end it at once', async () => {
  const refused = acquire(60_000, async () => {
    throw databaseError('42704');
  });
  expect(await refused.outcome).toMatchObject({ code: '42704' });
  const abort = new AbortController();
  const aborted = acquire(
    60_000,
    async () => {
      throw databaseError('55006');
    },
    abort.signal,
  );
  await time.advance(1000);
  abort.abort(new Error('enough'));
  expect(await aborted.outcome).toMatchObject({ message: 'enough' });
});
