import { expect, test } from 'vitest';
import { waitFor } from '../support/wait.ts';
import { LogChild } from './log-child.ts';
import { KiB, linesOf, MiB, numbered, readUntil, TestDirectory } from './log-fixture.ts';

test('a process killed in the middle of writing leaves whole transactions, all that it called synced among them', async () => {
  await using directory = await TestDirectory.make();
  let reached = 0n;
  for (let round = 1; round <= 4; round++) {
    await using child = new LogChild('write', directory.path, String(64 * KiB));
    const goal = reached + 300_000n;
    await waitFor(() => child.lines.some((line) => BigInt(line) > goal), {
      describe: () => `the writer, at ${child.lines.at(-1)}`,
    });
    await child.kill();
    const said = BigInt(child.lines.at(-1) ?? '0');

    const log = await directory.open({ segmentBytes: 64 * KiB });
    const { endLsn, last } = log.facts;
    expect(endLsn >= said).toBe(true);
    const count = last.commitLsn / 1000n;
    const expected = Array.from({ length: Number(count) }, (_, i) => numbered(BigInt(i + 1))).flatMap(
      linesOf,
    );
    expect((await readUntil(log, endLsn)).lines).toEqual(expected);
    await log.close();
    reached = endLsn;
  }
}, 60_000);

test('a transaction of 500 MB takes little memory, written and read', async () => {
  await using directory = await TestDirectory.make();
  await using child = new LogChild('huge', directory.path, String(500_000_000));
  const [rows, peakBytes] = (await child.line(0, 90_000)).split(' ').map(Number);
  expect(rows).toBe(50_000);
  expect(peakBytes).toBeLessThan(60 * MiB);
}, 100_000);
