import { escapeIdentifier } from 'pg';
import { expect } from 'vitest';
import { Catalog } from '../../../../connectors/postgres/catalog/catalog.ts';
import { resolveConnection } from '../../../../connectors/postgres/connection/connection-settings.ts';
import { ReplicationStream } from '../../../../connectors/postgres/replication/replication-stream.ts';
import { systemClock } from '../../../../src/clock.ts';
import { TablePattern } from '../../../../src/config/table-pattern.ts';
import { asTailraceError, type TailraceError } from '../../../../src/errors/tailrace-error.ts';
import { type Lsn, parseLsn } from '../../../../src/events/lsn.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import type { SlotFacts, SourceEnd } from '../../../../src/pipeline/source.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres.ts';
import { waitFor } from '../../../support/wait.ts';
import { describeEvent, RecordingLog } from '../recording-log.ts';

export interface HarnessOptions {
  /** SQL of the superuser before publication and slot are made. */
  readonly setup: string;
  /** What is published; default FOR ALL TABLES. */
  readonly publish?: string | undefined;
  readonly exclude?: readonly string[] | undefined;
}

/** A database with a publication and a slot, and streams from it into logs in memory. */
export class StreamHarness implements AsyncDisposable {
  readonly database: TestDatabase;
  readonly slot: string;
  readonly publication: string;
  /** Where the slot began. */
  readonly origin: Lsn;
  readonly #options: HarnessOptions;
  readonly #running: RunningStream[] = [];

  private constructor(database: TestDatabase, options: HarnessOptions, origin: Lsn) {
    this.database = database;
    this.slot = `${database.name}_slot`;
    this.publication = database.name;
    this.origin = origin;
    this.#options = options;
  }

  static async open(options: HarnessOptions): Promise<StreamHarness> {
    const database = await createTestDatabase({ setup: options.setup });
    const publish = options.publish ?? 'FOR ALL TABLES';
    await database.query(
      `CREATE PUBLICATION ${escapeIdentifier(database.name)} ${publish} WITH (publish_via_partition_root = true)`,
    );
    const { rows } = await database.query<{ lsn: string }>(
      `SELECT lsn FROM pg_create_logical_replication_slot($1, 'pgoutput')`,
      [`${database.name}_slot`],
    );
    return new StreamHarness(database, options, parseLsn(rows[0]?.lsn ?? ''));
  }

  start(given: StreamOverrides = {}): RunningStream {
    const settings = resolveConnection({ url: given.url ?? this.database.url }, { PGOPTIONS: given.session });
    const running = new RunningStream({
      ...given,
      harness: this,
      settings,
      exclude: this.#options.exclude,
      from: given.from ?? given.log?.appended ?? this.origin,
    });
    this.#running.push(running);
    return running;
  }

  async sql(...statements: readonly string[]): Promise<void> {
    for (const statement of statements) await this.database.query(statement);
  }

  async slotFacts(slot = this.slot): Promise<SlotFacts | undefined> {
    const { rows } = await this.database.query<{
      active: boolean;
      active_pid: number | null;
      plugin: string | null;
      database: string | null;
      confirmed: string | null;
      status: string | null;
    }>(
      `SELECT active, active_pid, plugin, database, confirmed_flush_lsn AS confirmed, wal_status AS status
         FROM pg_replication_slots WHERE slot_name = $1`,
      [slot],
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    return {
      name: slot,
      plugin: row.plugin ?? undefined,
      database: row.database ?? undefined,
      active: row.active,
      activePid: row.active_pid ?? undefined,
      confirmedFlushLsn: row.confirmed === null ? undefined : parseLsn(row.confirmed),
      walStatus: row.status ?? undefined,
    };
  }

  async walEnd(): Promise<Lsn> {
    const { rows } = await this.database.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn');
    return parseLsn(rows[0]?.lsn ?? '');
  }

  /** A stream of ours has let go of it. */
  async slotFree(): Promise<void> {
    await waitFor(async () => (await this.slotFacts())?.active === false, {
      describe: 'the slot to be free',
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#running.map(async (running) => running.stop()));
    await this.database[Symbol.asyncDispose]();
  }
}

export interface StreamOverrides {
  readonly url?: string | undefined;
  /** Further parameters of the session: `-c wal_sender_timeout=2s`. */
  readonly session?: string | undefined;
  readonly log?: RecordingLog | undefined;
  readonly from?: Lsn | undefined;
  readonly slot?: string | undefined;
}

interface RunningParts extends StreamOverrides {
  readonly harness: StreamHarness;
  readonly settings: ReturnType<typeof resolveConnection>;
  readonly exclude: readonly string[] | undefined;
  readonly from: Lsn;
}

export class RunningStream {
  readonly log: RecordingLog;
  readonly stream: ReplicationStream;
  /** Settles to how it ended, or the error. */
  readonly outcome: Promise<SourceEnd | TailraceError>;
  over = false;
  #confirmed = 0n;
  readonly #abort = new AbortController();

  constructor({ harness, settings, from, log, slot, exclude }: RunningParts) {
    this.log = log ?? new RecordingLog(from);
    const catalog = new Catalog({
      // Beside the proxies of a test: what fails is the stream alone.
      settings: resolveConnection({ url: harness.database.url }, {}),
      publication: harness.publication,
      rules: [
        {
          pattern: TablePattern.parse('*.*'),
          columns: exclude === undefined ? undefined : { exclude },
          mappings: [],
          where: 'tailrace.yaml:1:1',
        },
      ],
    });
    this.stream = new ReplicationStream({
      settings,
      slot: slot ?? harness.slot,
      publication: harness.publication,
      stream: { from, into: this.log, signal: this.#abort.signal },
      catalog: {
        relation: (message, signal) => catalog.relation(message, signal),
        slot: () => harness.slotFacts(slot),
        slotHolder: async () => {
          const facts = await harness.slotFacts();
          return facts?.activePid === undefined ? undefined : { pid: facts.activePid };
        },
      },
      confirmable: () => this.#confirmed,
      clock: systemClock,
      logger: silentLogger,
    });
    this.outcome = this.#run(catalog);
  }

  async #run(catalog: Catalog): Promise<SourceEnd | TailraceError> {
    try {
      return await this.stream.run();
    } catch (error) {
      return asTailraceError(error);
    } finally {
      this.over = true;
      await catalog.close();
    }
  }

  get events(): readonly string[] {
    return this.log.events.map((event) => describeEvent(event));
  }

  confirm(lsn: Lsn): void {
    this.#confirmed = lsn;
    this.stream.moved();
  }

  async connected(): Promise<void> {
    await this.until(() => this.stream.connected, 'the stream to begin');
  }

  /** Waits; fails at once when the stream ends first. */
  async until(condition: () => boolean, describe: string): Promise<void> {
    await waitFor(
      async () => {
        if (condition()) return true;
        if (this.over) return 'ended';
        return false;
      },
      { describe, intervalMs: 5 },
    );
    if (!condition()) throw new Error(`The stream ended before ${describe}`, { cause: await this.outcome });
  }

  async untilEvents(count: number): Promise<readonly string[]> {
    await this.until(() => this.log.events.length >= count, `${count} events`);
    return this.events;
  }

  /** Until everything the server has written so far has been received. */
  async caughtUp(harness: StreamHarness): Promise<void> {
    const end = await harness.walEnd();
    await this.until(() => this.stream.received >= end, 'everything to be received');
  }

  async stop(): Promise<SourceEnd> {
    this.#abort.abort(new Error('stopped by the test'));
    const outcome = await this.outcome;
    if (outcome !== 'aborted' && outcome !== 'server-closed') throw outcome;
    return outcome;
  }

  /** The error it ends with. */
  async failure(): Promise<TailraceError> {
    const outcome = await this.outcome;
    expect(outcome).toBeInstanceOf(Error);
    return outcome as TailraceError;
  }
}
