import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { systemClock } from '../clock.ts';
import type { PipelineConfig } from '../config/pipeline-config.ts';
import type { EventLog } from '../event-log/contract.ts';
import { openEventLog } from '../event-log/open-event-log.ts';
import { AdminServer } from '../observe/admin-server.ts';
import type { Logger } from '../observe/logger.ts';
import { PrometheusMetrics } from '../observe/prometheus-metrics.ts';
import { type PipelineStatus, statusMetrics } from '../observe/status.ts';
import { Pipeline } from '../pipeline/pipeline.ts';
import type { Source, SourceFacts } from '../pipeline/source.ts';
import { AlarmLog } from './alarms.ts';
import { LaneFactory } from './lane-factory.ts';
import type { AppSourceConfig } from './registry.ts';
import { createSource, slotNameOf } from './source.ts';
import { describeStatus } from './status.ts';
import { tailEvents } from './tail.ts';

/** Memory of the event log: what the disk may lag behind by, and what lanes read without the disk. */
const MAX_UNSYNCED_BYTES = 16 * 1024 * 1024;
const TAIL_BYTES = 32 * 1024 * 1024;
/** The slot's state on the server is looked at this often, for status and metrics. */
const FACTS_INTERVAL_MS = 15_000;

const ALARM_INTERVAL_MS = 5000;

export interface RuntimeOptions {
  readonly config: PipelineConfig<AppSourceConfig>;
  /** Sinks left out of this run. */
  readonly without?: readonly string[] | undefined;
  readonly logger: Logger;
  readonly clock?: Clock | undefined;
  /** Called when a sink has done all it was asked for. */
  readonly finish?: (() => void) | undefined;
}

/** A pipeline with everything around it, from one configuration: what `tailrace run` runs. */
export class Runtime implements AsyncDisposable {
  readonly #options: RuntimeOptions;
  readonly #clock: Clock;
  readonly #log: EventLog;
  readonly #source: Source;
  readonly #lanes: LaneFactory;
  readonly #pipeline: Pipeline;
  readonly #metrics: PrometheusMetrics;
  readonly #startedAt = new Date();
  #admin: AdminServer | undefined;
  /** Newer than the pipeline's own, which are from its last connect. */
  #facts: SourceFacts | undefined;

  private constructor(
    options: RuntimeOptions,
    log: EventLog,
    metrics: PrometheusMetrics,
    lanes: LaneFactory,
  ) {
    const { config, logger } = options;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = log;
    this.#metrics = metrics;
    this.#lanes = lanes;
    this.#source = createSource({ config, logger, metrics, clock: this.#clock });
    this.#pipeline = new Pipeline({
      name: config.pipeline,
      slotName: slotNameOf(config),
      source: this.#source,
      log,
      createLanes: (facts) => lanes.lanes(log, facts),
      budget: { mode: config.source.confirm, bytes: BigInt(config.source.walBudgetBytes) },
      onFull: config.eventLog.onFull,
      drainTimeoutMs: config.shutdownTimeoutMs,
      clock: this.#clock,
      logger,
    });
  }

  /** Takes the event log's lock and listens; streams nothing yet. Throws E_LOCKED, E_LOG_CORRUPT, E_STATE, E_USAGE. */
  static async start(options: RuntimeOptions): Promise<Runtime> {
    const { config, logger } = options;
    const clock = options.clock ?? systemClock;
    const metrics = new PrometheusMetrics({ process: true });
    const lanes = new LaneFactory({
      config,
      without: options.without ?? [],
      metrics,
      logger,
      clock,
      finish: options.finish,
    });
    const log = await openEventLog({
      dir: config.eventLog.dir,
      limitBytes: config.eventLog.limitBytes,
      segmentBytes: config.eventLog.segmentBytes,
      retainAgeMs: config.eventLog.retainAgeMs,
      retainBytes: config.eventLog.retainBytes,
      maxUnsyncedBytes: MAX_UNSYNCED_BYTES,
      syncIntervalMs: 0,
      tailBytes: TAIL_BYTES,
      clock,
      logger,
    });
    try {
      const runtime = new Runtime(options, log, metrics, lanes);
      await runtime.#listen();
      return runtime;
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  get status(): PipelineStatus {
    const { config } = this.#options;
    return describeStatus({
      pipeline: this.#pipeline,
      name: config.pipeline,
      slot: slotNameOf(config),
      source: this.#source,
      log: this.#log,
      logDir: config.eventLog.dir,
      entries: this.#lanes.entries,
      facts: this.#facts ?? this.#pipeline.facts,
      startedAt: this.#startedAt,
      nowMs: this.#clock.nowMs(),
      monotonicMs: this.#clock.monotonicMs(),
    });
  }

  /** See Pipeline.run. */
  async run(signals: { readonly drain: AbortSignal; readonly kill: AbortSignal }): Promise<void> {
    const ended = new AbortController();
    const watching = Promise.all([this.#refreshFacts(ended.signal), this.#watch(ended.signal)]);
    try {
      await this.#pipeline.run(signals);
    } finally {
      ended.abort();
      await watching;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#admin?.close();
    await this.#source.close();
    await this.#log.close();
  }

  async #listen(): Promise<void> {
    const { admin } = this.#options.config;
    if (admin === false) return;
    const token = admin.token ?? randomBytes(24).toString('base64url');
    const refresh = statusMetrics(this.#metrics);
    this.#metrics.beforeScrape(() => refresh(this.status));
    this.#admin = await AdminServer.listen({
      host: admin.host,
      port: admin.port,
      token,
      status: () => this.status,
      metrics: this.#metrics,
      tail: (query, response, signal) =>
        tailEvents({
          log: this.#log,
          config: this.#options.config,
          query,
          response,
          signal,
          facts: this.#pipeline.facts,
        }),
    });
    await this.#log.setAdmin({ url: this.#admin.url, token });
    this.#options.logger.info({ url: this.#admin.url }, 'status, metrics and health are served');
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const alarms = new AlarmLog(this.#options.logger);
    while (!signal.aborted) {
      alarms.look(this.status);
      await this.#clock.sleep(ALARM_INTERVAL_MS, signal).catch(() => {});
    }
  }

  async #refreshFacts(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(FACTS_INTERVAL_MS, signal).catch(() => {});
      if (signal.aborted || !this.#source.progress.connected) continue;
      // What cannot be asked now is asked again; the stream itself tells of a lost connection.
      this.#facts = await this.#source.inspect(signal).catch(() => this.#facts);
    }
  }
}
