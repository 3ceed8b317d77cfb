import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Position } from '../../../src/events/position.ts';
import { createTestIndices } from '../../support/elasticsearch.ts';
import { EventScript, relation, UNCHANGED } from '../batch-builder.ts';
import { Gateway } from './gateway.ts';
import { SinkFixture } from './sink-fixture.ts';

const docs = relation({ table: 'docs', columns: { id: 'int8', n: 'int4', body: 'text' }, key: ['id'] });

interface Row {
  readonly n: string;
  readonly body: string;
}

/** A random history of a small table and the table it ends as. Half of the updates leave the large column alone. */
function history(random: () => number): { script: EventScript; table: ReadonlyMap<string, Row> } {
  const script = new EventScript();
  const table = new Map<string, Row>();
  const below = (limit: number): number => random() % limit;
  let n = 0;
  for (let t = 0; t < 60; t++) {
    script.transaction((tx) => {
      for (let steps = t % 20 === 7 ? 400 : 1 + below(12); steps > 0; steps--) {
        const id = String(below(30));
        const row = table.get(id);
        const next = { n: String(++n), body: `body ${n}` };
        const dice = below(100);
        if (dice === 0) {
          table.clear();
          tx.truncate(docs);
        } else if (row === undefined) {
          table.set(id, next);
          tx.insert(docs, { id, ...next });
        } else if (dice < 20) {
          table.delete(id);
          tx.delete(docs, { id });
        } else if (dice < 60) {
          table.set(id, { ...next, body: row.body });
          tx.update(docs, { id, n: next.n, body: UNCHANGED });
        } else if (dice < 80) {
          table.set(id, next);
          tx.update(docs, { id, ...next });
        } else {
          const to = String(30 + below(30));
          if (table.has(to)) continue;
          table.delete(id);
          table.set(to, { ...next, body: row.body });
          tx.update(docs, { id: to, n: next.n, body: UNCHANGED }, { oldKey: { id } });
        }
      }
      if (tx.events.length === 0) tx.message('empty', '');
    });
  }
  return { script, table };
}

test('stopped anywhere, cut anyhow, with answers lost: the index ends as the table', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 - 1 }), async (seed) => {
      let state = seed;
      const random = (): number => {
        // xorshift32
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        return state >>> 0;
      };
      const { script, table } = history(random);
      await using indices = await createTestIndices();
      await using gateway = await Gateway.start(indices.url);
      gateway.hook = ({ path }) =>
        path.startsWith('/_bulk') && random() % 8 === 0
          ? { status: 502, body: '', applied: random() % 2 === 0 }
          : undefined;
      await using lives = new AsyncDisposableStack();
      const options = { url: gateway.url, prefix: indices.prefix };
      for (let life = 0, finished = false; !finished; life++) {
        const sink = new SinkFixture({ ...options, config: { bulk: { bytes: '1KiB' }, in_flight: 3 } });
        lives.use(sink);
        const stored = await sink.open();
        await sink.prepare(docs);
        finished = await runLane(sink, script, {
          after: stored?.position,
          random,
          // The last life is left alone.
          stopAfter: life < 5 ? 1 + (random() % 15) : Infinity,
        });
        // Stopped in order, or killed: then what it had reserved stays reserved.
        if (random() % 2 === 0) await sink.close();
      }
      const documents = await indices.documents(indices.name('docs'));
      const found = new Map([...documents].map(([id, { source }]) => [id, source]));
      const expected = new Map(
        [...table].map(([id, { n, body }]) => [id, { id: Number(id), n: Number(n), body }]),
      );
      expect(found).toEqual(expected);
    }),
    { numRuns: 3 },
  );
}, 120_000);

/** As the lane does: three batches on their way, each retried by itself until it succeeds; a flush now and then. */
async function runLane(
  sink: SinkFixture,
  script: EventScript,
  options: {
    readonly after: Position | undefined;
    readonly random: () => number;
    readonly stopAfter: number;
  },
): Promise<boolean> {
  const { random } = options;
  const running = new Set<Promise<void>>();
  let { after } = options;
  const atEnd = (): boolean =>
    after?.commitLsn === script.end.position.commitLsn && after.seq === script.end.position.seq;
  for (let batches = 0; !atEnd(); batches++) {
    if (batches >= options.stopAfter) {
      sink.abort();
      await Promise.allSettled(running);
      return false;
    }
    const batch = sink.batch(script, {
      after,
      ...(random() % 3 === 0 ? { events: 1 + (random() % 100) } : { transactions: 1 + (random() % 4) }),
    });
    after = batch.to.position;
    const write = async (): Promise<void> => {
      for (;;) {
        try {
          expect((await sink.write(batch)).rejected).toEqual([]);
          return;
        } catch (error) {
          if (sink.signal.aborted) return;
          expect(error).toMatchObject({ code: 'E_SINK_UNAVAILABLE' });
        }
      }
    };
    const writing: Promise<void> = write().finally(() => running.delete(writing));
    running.add(writing);
    while (running.size >= 3) await Promise.race(running);
    if (random() % 6 === 0) {
      await Promise.all(running);
      await sink.sink.flush(sink.signal);
    }
  }
  await Promise.all(running);
  expect(await sink.sink.flush(sink.signal)).toEqual(script.end);
  return true;
}
