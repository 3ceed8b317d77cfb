import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../src/clock.ts';
import { DeadLetterLog } from '../../src/delivery/dead-letters.ts';
import { Lane } from '../../src/delivery/lane.ts';
import { LaneMeter } from '../../src/delivery/lane-meter.ts';
import { Router } from '../../src/delivery/router.ts';
import type { Capabilities, Sink } from '../../src/delivery/sink.ts';
import type { EventLog, LogReader } from '../../src/event-log/contract.ts';
import { type OpenEventLogOptions, openEventLog } from '../../src/event-log/open-event-log.ts';
import type { Relation } from '../../src/events/relation.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { noMetrics } from '../../src/observe/metrics.ts';
import { relation } from '../connectors/batch-builder.ts';
import { fastClock } from './fast-clock.ts';

const CAPABILITIES: Capabilities = {
  inFlight: 1,
  positioned: true,
  maxBatchEvents: 100,
  maxBatchBytes: 1024 * 1024,
  maxTransactionBytes: 16 * 1024 * 1024,
  lingerMs: 0,
  flushIntervalMs: 20,
};

export interface LaneOptions extends Partial<Capabilities> {
  readonly name?: string | undefined;
  readonly clock?: Clock | undefined;
}

/** A real event log in a directory of its own, with tables `orders` and `audit (id int4)`, and lanes that read it. */
export class LogFixture implements AsyncDisposable {
  readonly dir: string;
  readonly log: EventLog;
  readonly orders: Relation;
  /** Not for any sink. */
  readonly audit: Relation;
  /** Start of the last commit record. */
  lsn: bigint;
  /** Batches handed out and not released yet, and releases beyond the first. */
  held = 0;
  releasedTwice = 0;

  private constructor(dir: string, log: EventLog, lsn: bigint) {
    this.dir = dir;
    this.log = log;
    this.lsn = lsn;
    this.orders = log.relation(relation({ table: 'orders', columns: { id: 'int4' }, key: ['id'] }));
    this.audit = log.relation(relation({ table: 'audit', columns: { id: 'int4' }, key: ['id'] }));
  }

  /** `fresh: false`: without an identity, as before a pipeline's first start. */
  static async open(
    options: Partial<OpenEventLogOptions> & { readonly fresh?: boolean | undefined } = {},
  ): Promise<LogFixture> {
    const { fresh = true, ...given } = options;
    const dir = given.dir ?? (await mkdtemp(join(tmpdir(), 'tailrace-log-')));
    const log = await openEventLog({
      limitBytes: 1024 ** 3,
      segmentBytes: 1024 ** 2,
      retainAgeMs: 0,
      retainBytes: 0,
      maxUnsyncedBytes: 1024 ** 2,
      syncIntervalMs: 0,
      tailBytes: 1024 ** 2,
      ...given,
      dir,
    });
    if (fresh) {
      const identity = {
        pipeline: 'shop',
        database: '7/5',
        slot: 'tailrace_shop',
        generation: 1,
        timeline: 1,
      };
      await log.setIdentity({ ...identity, slotCreated: true });
      await log.restartAt(1000n);
    }
    const last = log.facts.last.commitLsn;
    return new LogFixture(dir, log, last > 1000n ? last : 1000n);
  }

  /** One committed transaction of inserts; returns its end LSN. */
  commit(table: Relation, ...ids: readonly number[]): bigint {
    this.lsn += 1000n;
    const commitTimeUs = BigInt(Date.now()) * 1000n;
    this.log.begin({ commitLsn: this.lsn, xid: 1, commitTimeUs });
    for (const id of ids) {
      const text = Buffer.from(String(id));
      const body = Buffer.concat([Buffer.from('N\0\x01t\0\0\0'), Buffer.from([text.length]), text]);
      this.log.append({
        relation: table,
        kind: 'insert',
        walLsn: this.lsn,
        body,
        start: 0,
        end: body.length,
      });
    }
    this.log.commit(this.lsn + 48n);
    return this.lsn + 48n;
  }

  /** Fills segments with rows that are for nobody. */
  async fill(transactions: number): Promise<bigint> {
    let end = 0n;
    for (let i = 0; i < transactions; i++) {
      end = this.commit(this.audit, ...Array.from({ length: 50 }, (_, id) => id));
      if (i % 20 === 19) await this.log.sync();
    }
    await this.log.sync();
    return end;
  }

  lane(sink: Sink, { name = 'search', clock = fastClock, ...capabilities }: LaneOptions = {}): Lane {
    const meter = new LaneMeter({ metrics: noMetrics, sink: name, clock });
    return new Lane({
      name,
      sink,
      capabilities: { ...CAPABILITIES, ...capabilities },
      router: new Router({
        mappingsFor: ({ table }) =>
          table === 'audit' ? [] : [{ id: 'm', table, sink: name, options: {}, where: 'x.yaml:1:1' }],
        prepare: (mapping, shape, signal) => sink.prepare(mapping, shape, signal),
      }),
      log: this.#counted(),
      deadLetters: new DeadLetterLog({ dataDir: this.dir, sink: name }),
      clock,
      logger: silentLogger,
      meter,
    });
  }

  /** As a crash leaves it, as far as this process can: nothing is delivered any more. */
  async close(): Promise<void> {
    await this.log.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.log.close();
    await rm(this.dir, { recursive: true, force: true });
  }

  #counted(): Pick<EventLog, 'read' | 'facts' | 'appended'> {
    const { log } = this;
    return {
      get facts() {
        return log.facts;
      },
      get appended() {
        return log.appended;
      },
      read: (after, name) => this.#countedReader(log.read(after, name)),
    };
  }

  #countedReader(reader: LogReader): LogReader {
    return {
      close: () => reader.close(),
      next: async (limit, signal) => {
        const batch = await reader.next(limit, signal);
        this.held++;
        let released = false;
        const release = batch.release.bind(batch);
        batch.release = () => {
          if (released) this.releasedTwice++;
          else this.held--;
          released = true;
          release();
        };
        return batch;
      },
    };
  }
}
