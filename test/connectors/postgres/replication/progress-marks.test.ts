import { afterEach, beforeEach, expect, test } from 'vitest';
import { ProgressMarks } from '../../../../connectors/postgres/replication/progress-marks.ts';
import { RecordingLog } from '../recording-log.ts';
import { manualClock } from './manual-clock.ts';

const MIB = 1024n * 1024n;

let time: ReturnType<typeof manualClock>;
beforeEach(() => {
  time = manualClock();
});
afterEach(() => time.release());

test('the first mark is made at once, then one a second, the last one always', async () => {
  const log = new RecordingLog(100n);
  const marks = new ProgressMarks(log, time.clock);
  for (let i = 1n; i <= 25n; i++) {
    marks.note(100n + i);
    await time.advance(100);
  }
  expect(log.marks).toEqual([101n, 110n, 120n]);
  await time.advance(1000);
  expect(log.marks).toEqual([101n, 110n, 120n, 125n]);
  await time.advance(10_000);
  expect(log.marks).toHaveLength(4);
});

test('nothing is marked that the log already has', async () => {
  const log = new RecordingLog(100n);
  const marks = new ProgressMarks(log, time.clock);
  marks.note(100n);
  marks.note(7n);
  await time.advance(5000);
  expect(log.marks).toEqual([]);
});

test('much WAL or a waiting server is marked sooner, though not without end', async () => {
  const log = new RecordingLog(100n);
  const marks = new ProgressMarks(log, time.clock);
  marks.note(101n);
  await time.advance(60);
  marks.note(102n, true);
  expect(log.marks).toEqual([101n, 102n]);
  await time.advance(60);
  marks.note(102n + 16n * MIB);
  expect(log.marks).toHaveLength(3);
  for (let i = 0n; i < 100n; i++) marks.note(102n + 17n * MIB + i, true);
  expect(log.marks).toHaveLength(3);
  await time.advance(50);
  expect(log.marks).toHaveLength(4);
  expect(log.marks.at(-1)).toBe(102n + 17n * MIB + 99n);
});

test('a mark waiting when a transaction begins is dropped', async () => {
  const log = new RecordingLog(100n);
  const marks = new ProgressMarks(log, time.clock);
  marks.note(101n);
  marks.note(102n);
  marks.drop();
  await time.advance(5000);
  expect(log.marks).toEqual([101n]);
});
