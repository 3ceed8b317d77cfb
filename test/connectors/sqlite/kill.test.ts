import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KillableWriter } from '../killable-writer.ts';
import { seededTransactions, Workload } from '../workload.ts';
import { MirrorFile } from './mirror-harness.ts';
import { mirrorContents, sourceContents } from './mirrored-tables.ts';

const writer = new URL('./mirror-writer-process.ts', import.meta.url);
const TRANSACTIONS = 250;

test('killed at any moment, it goes on where the file stands and loses and repeats nothing', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const moments = fc.sample(
    fc.record({ lines: fc.integer({ min: 0, max: 40 }), ms: fc.integer({ min: 0, max: 6 }) }),
    { seed, numRuns: 6 },
  );
  await using file = new MirrorFile();
  const args = [file.path, String(seed), String(TRANSACTIONS)];
  for (const { lines, ms } of moments) await new KillableWriter(writer, args).killAfter(lines, ms);
  const last = new KillableWriter(writer, args);
  expect(await last.exited, `seed ${seed}: ${last.errors}`).toEqual({ code: 0, signal: null });
  expect(last.lines.at(-1)).toBe('done');
  const workload = new Workload(seededTransactions(seed, TRANSACTIONS));
  expect(mirrorContents(file.path), `seed ${seed}`).toEqual(sourceContents(workload));
  for (const table of ['keyed', 'pair', 'full', 'bag']) {
    file.run(`INSERT INTO ${table}_search (${table}_search, rank) VALUES ('integrity-check', 1)`);
  }
}, 60_000);
