import type { z } from 'zod';
import type { Mapping, SinkConnector } from '../delivery/sink.ts';
import type { PipelineDocument } from './pipeline-schema.ts';
import type { TablePattern } from './table-pattern.ts';

/** The configuration file, validated, with connectors' options parsed and names resolved. `S`: the source's own options. */
export interface PipelineConfig<S = unknown> {
  readonly file: string;
  readonly pipeline: string;
  readonly source: S;
  readonly eventLog: EventLogConfig;
  readonly sinks: readonly SinkEntry[];
  /** In the order of the file. */
  readonly tables: readonly TableRule[];
  readonly admin: PipelineDocument<S>['admin'];
  readonly log: PipelineDocument<S>['log'];
  readonly shutdownTimeoutMs: number;
  /** What came from the environment or from files: never to be shown. */
  readonly secrets: ReadonlySet<string>;
}

export interface EventLogConfig {
  /** Absolute. */
  readonly dir: string;
  readonly limitBytes: number;
  readonly onFull: 'stop' | 'detach';
  readonly retainAgeMs: number;
  readonly retainBytes: number;
  readonly segmentBytes: number;
}

export interface SinkEntry {
  readonly name: string;
  readonly connector: SinkConnector;
  /** Parsed by `connector.config`. */
  readonly config: unknown;
  /** `tailrace.yaml:6:3`. */
  readonly where: string;
}

export interface TableRule {
  readonly pattern: TablePattern;
  readonly columns: ColumnRule | undefined;
  readonly mappings: readonly Mapping[];
  readonly where: string;
}

export type ColumnRule = {
  readonly include?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
};

/** The connectors a build of Tailrace holds; made by src/app. */
export interface ConnectorRegistry<S = unknown> {
  readonly source: z.ZodType<S>;
  readonly sinks: readonly SinkConnector[];
}
