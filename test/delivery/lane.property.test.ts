import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Route, Sink, SinkBatch, WriteResult } from '../../src/delivery/sink.ts';
import type { Checkpoint } from '../../src/events/position.ts';
import type { Relation } from '../../src/events/relation.ts';
import { passed } from './fast-clock.ts';
import { LogFixture } from './log-fixture.ts';
import { unavailable } from './scripted-sink.ts';

/** Where the sink keeps what it is given. */
type Storage = {
  /** Rows by position: written again, they are the same. */
  readonly rows: Map<string, string>;
  /** Positions in the order in which they were stored first. */
  readonly order: string[];
  checkpoint: Checkpoint | undefined;
};

interface Job {
  done: boolean;
  readonly to: Checkpoint;
}

/**
 * Takes rows at once, as an index does, or together with the checkpoint, as a database does; fails before or after the effect; answers
 * late. What it does next is read from a tape of numbers.
 */
class ErraticSink implements Sink {
  readonly #storage: Storage;
  readonly #atomic: boolean;
  readonly #next: () => number;
  readonly #jobs = new Map<SinkBatch, Job>();
  #pending: [string, string][] = [];
  #accepted: Checkpoint | undefined;
  dead = false;

  constructor(storage: Storage, atomic: boolean, next: () => number) {
    this.#storage = storage;
    this.#atomic = atomic;
    this.#next = next;
    this.#accepted = storage.checkpoint;
  }

  async open(): Promise<Checkpoint | undefined> {
    await this.#maybeFail();
    return this.#storage.checkpoint;
  }

  async prepare(_: unknown, relation: Relation): Promise<Route> {
    await this.#maybeFail();
    return { destination: relation.table, parts: () => 1 };
  }

  async write(batch: SinkBatch): Promise<WriteResult> {
    const job = this.#jobs.get(batch) ?? { done: false, to: batch.to };
    this.#jobs.set(batch, job);
    await this.#maybeFail();
    if (!job.done) {
      for (let i = 0; i < batch.count; i++) {
        const { event } = batch.item(i);
        const { commitLsn, seq } = event.position;
        const value = event.column('after', 0) === 'value' ? (event.text() ?? '') : '';
        this.#put(`${commitLsn}:${seq}`, value);
      }
      job.done = true;
    }
    await this.#maybeFail();
    return { accepted: batch.to, rejected: [] };
  }

  async flush(): Promise<Checkpoint | undefined> {
    await this.#maybeFail();
    for (const [batch, job] of this.#jobs) {
      if (!job.done) break;
      this.#accepted = job.to;
      this.#jobs.delete(batch);
    }
    if (this.dead) return undefined;
    for (const [position, value] of this.#pending) store(this.#storage, position, value);
    this.#pending = [];
    this.#storage.checkpoint = this.#accepted;
    await this.#maybeFail();
    return this.#accepted;
  }

  async close(): Promise<void> {}

  #put(position: string, value: string): void {
    if (this.dead) return;
    if (this.#atomic) this.#pending.push([position, value]);
    else store(this.#storage, position, value);
  }

  async #maybeFail(): Promise<void> {
    const chance = this.#next();
    if (chance % 3 === 0) await passed(chance % 40);
    if (chance % 11 === 0) throw unavailable();
  }
}

function store({ rows, order }: Storage, position: string, value: string): void {
  if (!rows.has(position)) order.push(position);
  rows.set(position, value);
}

const scenario = fc.record({
  /** Rows per transaction; 0: for nobody. */
  transactions: fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 30 }),
  tape: fc.array(fc.nat(1000), { minLength: 1, maxLength: 200 }),
  killsMs: fc.array(fc.integer({ min: 0, max: 600 }), { maxLength: 3 }),
  inFlight: fc.integer({ min: 1, max: 3 }),
  maxBatchEvents: fc.integer({ min: 1, max: 8 }),
  maxTransactionBytes: fc.constantFrom(64, 1024 ** 2),
  atomic: fc.boolean(),
});

test('whatever fails and whenever it is killed: nothing is lost, nothing is there twice, and order is kept', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async ({ transactions, tape, killsMs, atomic, ...capabilities }) => {
      await using fixture = await LogFixture.open();
      const storage: Storage = { rows: new Map(), order: [], checkpoint: undefined };
      const wanted: [string, string][] = [];
      let id = 0;
      let at = 0;
      // Whatever the tape says, now and then a call works from its beginning to its end: a sink that never works is never done.
      const next = (): number => (at++ % 8 < 5 ? (tape[at % tape.length] as number) : 1);
      const commit = (rows: number): void => {
        if (rows === 0) fixture.commit(fixture.audit, 1);
        const ids = Array.from({ length: rows }, () => ++id);
        if (rows > 0) fixture.commit(fixture.orders, ...ids);
        wanted.push(...ids.map((each, i): [string, string] => [`${fixture.lsn}:${i + 1}`, String(each)]));
      };
      const half = Math.ceil(transactions.length / 2);
      for (const rows of transactions.slice(0, half)) commit(rows);

      const life = async (killMs: number | undefined): Promise<void> => {
        const stop = new AbortController();
        const sink = new ErraticSink(storage, atomic, next);
        const lane = fixture.lane(sink, { ...capabilities, flushIntervalMs: 40 });
        lane.onMoved(() => {
          const durable = lane.durable?.position;
          if (durable === undefined) return;
          const missing = wanted.filter(([position]) => {
            const [lsn = '', seq = ''] = position.split(':');
            const covered =
              BigInt(lsn) < durable.commitLsn ||
              (BigInt(lsn) === durable.commitLsn && Number(seq) <= durable.seq);
            return covered && !storage.rows.has(position);
          });
          // A checkpoint that says more than the sink has.
          if (missing.length > 0) stop.abort(new Error(`lost ${missing.join(' ')}`));
        });
        const run = lane.open(stop.signal).then((checkpoint) => lane.run(checkpoint, stop.signal));
        if (killMs === undefined) {
          lane.drain(fixture.log.appended);
          await run;
        } else {
          await Promise.race([passed(killMs), run.catch(() => {})]);
          if (stop.signal.aborted) throw stop.signal.reason;
          sink.dead = true;
          stop.abort(new Error('killed'));
          await run.catch(() => {});
        }
        expect(fixture).toMatchObject({ held: 0, releasedTwice: 0 });
      };
      for (const killMs of killsMs) await life(killMs);
      for (const rows of transactions.slice(half)) commit(rows);
      await life(undefined);

      expect([...storage.rows].toSorted(byPosition)).toEqual(wanted.toSorted(byPosition));
      // Writes that are on their way together may arrive in any order; a sink that asks for several keeps order itself.
      if (capabilities.inFlight === 1) {
        expect(storage.order).toEqual(wanted.map(([position]) => position));
      }
      expect(storage.checkpoint?.endLsn).toBe(fixture.log.appended);
    }),
    { numRuns: 50, endOnFailure: true },
  );
}, 120_000);

function byPosition([a]: [string, string], [b]: [string, string]): number {
  const order = (position: string): number => {
    const [lsn = '', seq = ''] = position.split(':');
    return Number(lsn) * 1000 + Number(seq);
  };
  return order(a) - order(b);
}
