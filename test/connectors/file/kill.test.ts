import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KillableWriter } from '../killable-writer.ts';
import { seededTransactions, Workload } from '../workload.ts';
import { Directory, parseLines, toFile } from './file-harness.ts';

const writer = new URL('./history-writer-process.ts', import.meta.url);
const TRANSACTIONS = 250;
const NAMES = ['public.keyed.ndjson', 'public.pair.ndjson', 'public.full.ndjson', 'public.bag.ndjson'];

/** What one undisturbed run writes. */
async function undisturbed(seed: number): Promise<readonly string[]> {
  await using dir = new Directory();
  const { delivery } = await dir.open({}, [toFile({ records: 'key_value' })]);
  await delivery.write(new Workload(seededTransactions(seed, TRANSACTIONS)).script);
  return NAMES.map((name) => dir.history(name));
}

test.each([
  ['one file a table', {}],
  ['files that are put aside all the time', { rotate: { bytes: '16KiB', compress: 'gzip' } }],
])(
  'killed at any moment, every record is there once, in whole lines: %s',
  async (_, config) => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const moments = fc.sample(
      fc.record({ lines: fc.integer({ min: 0, max: 40 }), ms: fc.integer({ min: 0, max: 6 }) }),
      { seed, numRuns: 5 },
    );
    await using dir = new Directory();
    const args = [dir.dir, JSON.stringify(config), String(seed), String(TRANSACTIONS)];
    for (const { lines, ms } of moments) await new KillableWriter(writer, args).killAfter(lines, ms);
    const last = new KillableWriter(writer, args);
    expect(await last.exited, `seed ${seed}: ${last.errors}`).toEqual({ code: 0, signal: null });
    expect(last.lines.at(-1)).toBe('done');
    const expected = await undisturbed(seed);
    for (const [i, name] of NAMES.entries()) {
      expect(dir.history(name), `${name}, seed ${seed}`).toBe(expected[i]);
      expect(parseLines(dir.history(name)).length).toBeGreaterThan(0);
    }
    if ('rotate' in config) expect(dir.files().length).toBeGreaterThan(10);
  },
  60_000,
);
