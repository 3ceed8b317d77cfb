import type { Clock } from '../clock.ts';
import type { PipelineConfig } from '../config/pipeline-config.ts';
import { TableRules } from '../config/table-rules.ts';
import type { CheckInput, Finding } from '../delivery/sink.ts';
import { asTailraceError } from '../errors/tailrace-error.ts';
import type { Relation } from '../events/relation.ts';
import { silentLogger } from '../observe/logger.ts';
import { noMetrics } from '../observe/metrics.ts';
import type { Source, SourceTable } from '../pipeline/source.ts';
import { databaseIdentity, formatIdentity } from '../pipeline/source-identity.ts';
import { LaneFactory } from './lane-factory.ts';
import type { AppSourceConfig } from './registry.ts';
import { createSource } from './source.ts';

export interface CheckOptions {
  readonly config: PipelineConfig<AppSourceConfig>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** A finding and what it is about: `source`, or a sink's name. */
export interface PlacedFinding extends Finding {
  readonly where: string;
}

/** Connects to everything and changes nothing; everything that would stop the pipeline, with what mends it. */
export async function* checkPipeline(options: CheckOptions): AsyncGenerator<PlacedFinding> {
  const { config, clock, signal } = options;
  const source = createSource({ config, logger: silentLogger, metrics: noMetrics, clock });
  try {
    let failed = false;
    for await (const finding of guarded(source.check(signal))) {
      failed ||= finding.level === 'error';
      yield { where: 'source', ...finding };
    }
    const seen = await look(source, signal).catch((error: unknown) => {
      if (failed) return undefined;
      throw error;
    });
    const lanes = new LaneFactory({ config, without: [], metrics: noMetrics, logger: silentLogger, clock });
    for (const entry of lanes.entries) {
      if (seen === undefined) {
        yield {
          where: entry.name,
          level: 'warning',
          about: 'not looked at: the tables are not known without the source',
        };
        continue;
      }
      const input: CheckInput<unknown, unknown> = {
        config: entry.config,
        context: lanes.context(entry, seen.identity, seen.database),
        tables: tablesOf(config, seen.tables, entry.name),
        signal,
      };
      for await (const finding of guarded(entry.connector.check(input)))
        yield { where: entry.name, ...finding };
    }
  } finally {
    await source.close();
  }
}

async function look(
  source: Source,
  signal: AbortSignal,
): Promise<{ identity: string; database: string; tables: readonly SourceTable[] }> {
  const facts = await source.inspect(signal);
  const identity = formatIdentity({ database: databaseIdentity(facts), generation: 1 });
  return { identity, database: facts.database, tables: await source.tables(signal) };
}

function tablesOf(
  config: PipelineConfig,
  tables: readonly SourceTable[],
  sink: string,
): CheckInput<unknown, unknown>['tables'] {
  const rules = new TableRules(config.tables);
  return tables.flatMap(({ definition }, i) => {
    const relation: Relation = { ...definition, version: i + 1 };
    return rules.mappingsFor(relation, sink).map((mapping) => ({ mapping, relation }));
  });
}

/** A check that throws has found something too. */
async function* guarded(findings: AsyncIterable<Finding>): AsyncGenerator<Finding> {
  try {
    yield* findings;
  } catch (thrown) {
    const error = asTailraceError(thrown);
    yield { level: 'error', about: `[${error.code}] ${error.message}`, fix: error.fix };
  }
}
