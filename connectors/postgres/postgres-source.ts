import type { Clock } from '../../src/clock.ts';
import type { TableRule } from '../../src/config/pipeline-config.ts';
import { formatTableName, type TableName } from '../../src/config/table-pattern.ts';
import type { Finding } from '../../src/delivery/sink.ts';
import { formatLsn, type Lsn, maxLsn } from '../../src/events/lsn.ts';
import type { Logger } from '../../src/observe/logger.ts';
import type { Counter, Metrics } from '../../src/observe/metrics.ts';
import type {
  Source,
  SourceEnd,
  SourceFacts,
  SourceProgress,
  SourceTable,
  StreamOptions,
} from '../../src/pipeline/source.ts';
import { Catalog } from './catalog/catalog.ts';
import { type PostgresSourceConfig, type ServerNames, serverNames } from './config.ts';
import { type ConnectionSettings, resolveConnection } from './connection/connection-settings.ts';
import { SqlSession } from './connection/sql-session.ts';
import { ReplicationStream } from './replication/replication-stream.ts';
import { ServerWatch } from './replication/server-watch.ts';
import { checkSource } from './setup/check.ts';
import { countExistingRows, type ExistingRows } from './setup/existing-rows.ts';
import { inspectSource } from './setup/inspect.ts';
import { preparePublication } from './setup/publication.ts';
import { type IdentityNeed, requireReplicaIdentities } from './setup/replica-identity.ts';
import { createSlot } from './setup/slot.ts';

/** How long to wait for an SQL connection to close: one whose other end is gone never says so. */
const CLOSE_DEADLINE_MS = 1000;

export interface PostgresSourceDeps {
  /** Names slot and publication unless the configuration does. */
  readonly pipeline: string;
  readonly rules: readonly TableRule[];
  /** What the sinks need of old rows; default: the key. */
  readonly identityNeed?: ((table: TableName) => IdentityNeed) | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Throws E_CONFIG for a configuration that contradicts itself or the environment. Connects when asked to do something. */
export function createPostgresSource(config: PostgresSourceConfig, deps: PostgresSourceDeps): Source {
  const settings = resolveConnection(config, deps.env);
  return new PostgresSource({ config, deps, settings, names: serverNames(config, deps.pipeline) });
}

interface SourceParts {
  readonly config: PostgresSourceConfig;
  readonly deps: PostgresSourceDeps;
  readonly settings: ConnectionSettings;
  readonly names: ServerNames;
}

class PostgresSource implements Source {
  readonly #parts: SourceParts;
  readonly #catalog: Catalog;
  /** For statements beside the stream. */
  readonly #side: SqlSession;
  readonly #watch: ServerWatch;
  readonly #replayed: Counter;
  #stream: ReplicationStream | undefined;
  #confirmable: Lsn = 0n;
  #last: SourceProgress = { walEnd: 0n, received: 0n, confirmed: 0n, connected: false, lastHeardMs: 0 };

  constructor(parts: SourceParts) {
    const { config, deps, settings, names } = parts;
    this.#parts = parts;
    this.#catalog = new Catalog({ settings, rules: deps.rules, publication: names.publication });
    this.#side = new SqlSession({ settings, purpose: 'watch' });
    this.#watch = new ServerWatch({
      session: this.#side,
      slot: names.slot,
      heartbeatIntervalMs: config.heartbeat?.intervalMs,
      clock: deps.clock,
      onFailed: (error) => deps.logger.warn({ code: error.code, err: error }, error.message),
    });
    this.#replayed = deps.metrics.counter(
      'tailrace_source_replayed_transactions_total',
      'Transactions the server sent again although the event log had them; dropped.',
    );
  }

  get progress(): SourceProgress {
    const stream = this.#stream;
    if (stream === undefined) return this.#last;
    return {
      walEnd: maxLsn(maxLsn(stream.walEnd, this.#watch.walEnd), this.#last.walEnd),
      received: maxLsn(stream.received, this.#last.received),
      confirmed: maxLsn(stream.confirmed, this.#last.confirmed),
      connected: stream.connected,
      lastHeardMs: stream.lastHeardMs,
    };
  }

  inspect(signal: AbortSignal): Promise<SourceFacts> {
    const { settings, names } = this.#parts;
    return inspectSource({ settings, slot: names.slot, signal });
  }

  tables(signal: AbortSignal): Promise<readonly SourceTable[]> {
    return this.#catalog.tables(signal);
  }

  async prepare(signal: AbortSignal): Promise<void> {
    const { config, deps, settings, names } = this.#parts;
    const definitions = (await this.#catalog.tables(signal)).map(({ definition }) => definition);
    requireReplicaIdentities(definitions, deps.identityNeed ?? keyOnly);
    const plan = await preparePublication({
      settings,
      publication: names.publication,
      manage: config.manage,
      tables: definitions,
      signal,
    });
    for (const statement of plan.statements) {
      deps.logger.info({ publication: names.publication, statement }, 'changed the publication');
    }
  }

  async createSlot(signal: AbortSignal): Promise<Lsn> {
    const { config, settings, names } = this.#parts;
    // Counted before: rows that come meanwhile may be delivered, these are not.
    const existing = await countExistingRows(this.#side, await this.#catalog.tables(signal), signal);
    const timeoutMs = config.slotCreateTimeoutMs;
    const from = await createSlot({ settings, slot: names.slot, timeoutMs, signal });
    this.#nameExistingRows(existing, from);
    return from;
  }

  async stream(options: StreamOptions): Promise<SourceEnd> {
    const { settings, names, deps } = this.#parts;
    // Another attempt may meet another server: nothing known of the last one holds.
    await this.#within(this.#catalog.refresh());
    const stream = new ReplicationStream({
      settings,
      slot: names.slot,
      publication: names.publication,
      stream: options,
      catalog: {
        relation: (message, signal) => this.#catalog.relation(message, signal),
        slot: async (signal) => (await this.inspect(signal)).slot,
        slotHolder: (signal) => this.#watch.slotHolder(signal),
      },
      confirmable: () => this.#confirmable,
      clock: deps.clock,
      logger: deps.logger,
    });
    this.#stream = stream;
    const ended = new AbortController();
    const watching = this.#watch.run(ended.signal);
    try {
      return await stream.run();
    } finally {
      ended.abort();
      await watching;
      this.#replayed.add(stream.replayed);
      this.#last = { ...this.progress, connected: false };
      this.#stream = undefined;
    }
  }

  confirm(endLsn: Lsn): void {
    if (endLsn <= this.#confirmable) return;
    this.#confirmable = endLsn;
    this.#stream?.moved();
  }

  check(signal: AbortSignal): AsyncIterable<Finding> {
    const { config, deps, settings, names } = this.#parts;
    const need = deps.identityNeed ?? keyOnly;
    return checkSource({ settings, config, rules: deps.rules, names, need, signal });
  }

  async close(): Promise<void> {
    await this.#within(Promise.all([this.#catalog.close(), this.#side.close()]));
  }

  /** What was there before the slot is no change: until it is read by a backfill, the sinks do not know it. */
  #nameExistingRows(existing: readonly ExistingRows[], from: Lsn): void {
    for (const { rows, exact, ...table } of existing) {
      if (rows === 0) continue;
      const name = formatTableName(table);
      const count = rows === undefined ? 'an unknown number of' : `${exact ? '' : 'about '}${rows}`;
      this.#parts.deps.logger.warn(
        { table: name, rows, slot_lsn: formatLsn(from) },
        `${name}: ${count} rows existed before the slot; not delivered`,
      );
    }
  }

  async #within(closing: Promise<unknown>): Promise<void> {
    const done = new AbortController();
    const late = this.#parts.deps.clock.sleep(CLOSE_DEADLINE_MS, done.signal).catch(() => {});
    await Promise.race([closing.catch(() => {}), late]);
    done.abort();
  }
}

function keyOnly(): IdentityNeed {
  return 'key';
}
