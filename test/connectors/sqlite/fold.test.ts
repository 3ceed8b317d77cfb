import fc from 'fast-check';
import { expect, test } from 'vitest';
import { transactions, Workload } from '../workload.ts';
import { MirrorFile, toMirror } from './mirror-harness.ts';
import { mirrorContents, sourceContents } from './mirrored-tables.ts';

test('a mirror holds what the source holds, however its events are cut into batches', async () => {
  await fc.assert(
    fc.asyncProperty(
      transactions,
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      async (all, cuts) => {
        const workload = new Workload(all);
        await using file = new MirrorFile();
        const { delivery } = await file.open([toMirror({ search: { columns: ['name', 'big'] } })]);
        let after = undefined;
        for (let i = 0; ; i++) {
          const result = await delivery.write(workload.script, { after, events: cuts[i % cuts.length] });
          expect(result.rejected).toEqual([]);
          after = result.accepted?.position;
          if (result.accepted?.endLsn === workload.script.end.endLsn) break;
        }
        expect(mirrorContents(file.path)).toEqual(sourceContents(workload));
        for (const table of ['keyed', 'pair', 'full', 'bag']) {
          if (file.rows('SELECT 1 FROM sqlite_schema WHERE name = ?', table).length === 0) continue;
          // Compares every entry of the index with the text in the mirror.
          file.run(`INSERT INTO ${table}_search (${table}_search, rank) VALUES ('integrity-check', 1)`);
        }
      },
    ),
    { numRuns: 25 },
  );
}, 60_000);
