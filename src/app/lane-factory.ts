import { randomUUID } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import type { Clock } from '../clock.ts';
import type { PipelineConfig, SinkEntry } from '../config/pipeline-config.ts';
import { hint } from '../config/suggest.ts';
import { TableRules } from '../config/table-rules.ts';
import { DeadLetterLog } from '../delivery/dead-letters.ts';
import { Lane } from '../delivery/lane.ts';
import { LaneMeter } from '../delivery/lane-meter.ts';
import { Router } from '../delivery/router.ts';
import type { SinkContext } from '../delivery/sink.ts';
import { TailraceError } from '../errors/tailrace-error.ts';
import type { EventLog } from '../event-log/contract.ts';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { SourceFacts } from '../pipeline/source.ts';
import { databaseIdentity, formatIdentity } from '../pipeline/source-identity.ts';
import { VERSION } from '../version.ts';

export interface LaneFactoryOptions {
  readonly config: PipelineConfig;
  /** Sinks left out of this run. */
  readonly without: readonly string[];
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Called when a sink has done all it was asked for. */
  readonly finish?: (() => void) | undefined;
}

/** Makes sinks from the configuration, and a lane for each. */
export class LaneFactory {
  /** In the order of the configuration. */
  readonly entries: readonly SinkEntry[];
  readonly #options: LaneFactoryOptions;
  readonly #rules: TableRules;
  readonly #runId = randomUUID();

  /** Throws E_USAGE when a sink to leave out does not exist. */
  constructor(options: LaneFactoryOptions) {
    const names = options.config.sinks.map((entry) => entry.name);
    for (const name of options.without) {
      if (names.includes(name)) continue;
      throw new TailraceError({
        code: 'E_USAGE',
        message: `--without ${name}: there is no such sink${hint(name, names)}`,
      });
    }
    this.#options = options;
    this.#rules = new TableRules(options.config.tables);
    this.entries = options.config.sinks.filter((entry) => !options.without.includes(entry.name));
  }

  lanes(log: EventLog, facts: SourceFacts): readonly Lane[] {
    const generation = log.facts.identity?.generation ?? 1;
    const source = formatIdentity({ database: databaseIdentity(facts), generation });
    return this.entries.map((entry) => this.#lane(entry, log, this.context(entry, source, facts.database)));
  }

  context(entry: SinkEntry, source: string, database: string): SinkContext {
    const { config, clock, logger, metrics, finish } = this.#options;
    return {
      pipeline: config.pipeline,
      name: entry.name,
      source,
      database,
      version: VERSION,
      runId: this.#runId,
      baseDir: dirname(resolve(config.file)),
      dataDir: config.eventLog.dir,
      logger: logger.child({ sink: entry.name }),
      metrics,
      clock,
      finish,
    };
  }

  #lane(entry: SinkEntry, log: EventLog, context: SinkContext): Lane {
    const sink = entry.connector.create(entry.config, context);
    return new Lane({
      name: entry.name,
      sink,
      capabilities: entry.connector.capabilities(entry.config),
      router: new Router({
        mappingsFor: (relation) => this.#rules.mappingsFor(relation, entry.name),
        prepare: (mapping, relation, signal) => sink.prepare(mapping, relation, signal),
      }),
      log,
      deadLetters: new DeadLetterLog({ dataDir: context.dataDir, sink: entry.name }),
      clock: context.clock,
      logger: context.logger,
      meter: new LaneMeter({ metrics: context.metrics, sink: entry.name, clock: context.clock }),
    });
  }
}
