import { dirname, resolve } from 'node:path';
import type { Mapping } from '../delivery/sink.ts';
import { ConfigError, type ConfigFinding } from './findings.ts';
import type { ConnectorRegistry, PipelineConfig, SinkEntry, TableRule } from './pipeline-config.ts';
import { type PipelineDocument, pipelineSchema } from './pipeline-schema.ts';
import { type ReferenceSources, readText, resolveReferences } from './references.ts';
import { hint } from './suggest.ts';
import { TablePattern } from './table-pattern.ts';
import { validate } from './validate.ts';
import { YamlDocument } from './yaml-document.ts';

export interface LoadConfigInput<S> extends ReferenceSources {
  /** As shown in errors; relative paths in the file are relative to it. */
  readonly file: string;
  readonly text: string;
  readonly registry: ConnectorRegistry<S>;
}

/** What stands here is in every line of the log anyway: to leave it out would only make them unreadable. */
const OPEN_SECTIONS: ReadonlySet<string> = new Set(['pipeline', 'event_log', 'log', 'shutdown_timeout']);

/** Reads a configuration. Throws ConfigError with everything that is wrong at once, each with file, line and column. */
export function loadConfig<S>(input: LoadConfigInput<S>): PipelineConfig<S> {
  const document = YamlDocument.parse(input.file, input.text);
  const secrets = new Set<string>();
  const open = new Set<string>();
  const sources: ReferenceSources = {
    env: input.env,
    readFile: input.readFile ?? ((path) => readText(resolve(dirname(input.file), path))),
  };
  document.mapStrings((text, section, fail) =>
    resolveReferences(text, sources, OPEN_SECTIONS.has(section) ? open : secrets, fail),
  );
  return new Loader(document, input.registry, secrets).load();
}

class Loader<S> {
  readonly #document: YamlDocument;
  readonly #registry: ConnectorRegistry<S>;
  readonly #secrets: ReadonlySet<string>;
  readonly #findings: ConfigFinding[] = [];
  /** Sinks of an unknown type. */
  readonly #unusable = new Set<string>();

  constructor(document: YamlDocument, registry: ConnectorRegistry<S>, secrets: ReadonlySet<string>) {
    this.#document = document;
    this.#registry = registry;
    this.#secrets = secrets;
  }

  load(): PipelineConfig<S> {
    const raw = this.#document.toJS();
    const value = validate({
      document: this.#document,
      schema: pipelineSchema(this.#registry.source),
      value: raw,
      at: [],
      findings: this.#findings,
    });
    // Problems inside sinks and tables are worth reporting even when something else is wrong.
    const loose = (value ?? raw) as PipelineDocument<S>;
    const sinks = isRecord(loose.sinks) ? this.#sinks(loose.sinks) : [];
    const tables = isRecord(loose.tables) && value !== undefined ? this.#tables(value.tables, sinks) : [];
    if (this.#findings.length > 0 || value === undefined) throw new ConfigError(this.#findings);
    return {
      file: this.#document.file,
      pipeline: value.pipeline,
      source: value.source,
      eventLog: {
        dir: resolve(dirname(this.#document.file), value.event_log.dir),
        limitBytes: value.event_log.limit,
        onFull: value.event_log.on_full,
        ...retention(value.event_log.retain),
        segmentBytes: value.event_log.segment,
      },
      sinks,
      tables,
      admin: value.admin,
      log: value.log,
      shutdownTimeoutMs: value.shutdown_timeout,
      secrets: this.#secrets,
    };
  }

  #sinks(sinks: Readonly<Record<string, unknown>>): SinkEntry[] {
    const types = this.#registry.sinks.map((connector) => connector.type);
    const entries: SinkEntry[] = [];
    for (const [name, given] of Object.entries(sinks)) {
      if (!isRecord(given)) continue;
      const { type: written, on_poison: _, ...options } = given;
      // In YAML, type: null is not the text "null"; there is a type of that name, and nothing else can be meant.
      const type = written === null ? 'null' : written;
      if (typeof type !== 'string') continue;
      const connector = this.#registry.sinks.find((candidate) => candidate.type === type);
      if (connector === undefined) {
        this.#fail(['sinks', name, 'type'], `unknown type of sink "${type}"${hint(type, types)}`);
        this.#unusable.add(name);
        continue;
      }
      const config = validate({
        document: this.#document,
        schema: connector.config,
        value: options,
        at: ['sinks', name],
        findings: this.#findings,
      });
      entries.push({ name, connector, config, where: this.#document.where(['sinks', name]) });
    }
    return entries;
  }

  #tables(tables: PipelineDocument<S>['tables'], sinks: readonly SinkEntry[]): TableRule[] {
    return Object.entries(tables).flatMap(([key, rule]): TableRule[] => {
      const at = ['tables', key];
      const pattern = this.#pattern(key, at);
      const lines = Array.isArray(rule.to) ? rule.to : [rule.to];
      const mappings = lines.flatMap((line, i): Mapping[] => {
        const path = Array.isArray(rule.to) ? [...at, 'to', i] : [...at, 'to'];
        const mapping = this.#mapping(key, typeof line === 'string' ? { sink: line } : line, sinks, path);
        return mapping === undefined ? [] : [mapping];
      });
      if (pattern === undefined) return [];
      return [{ pattern, columns: rule.columns, mappings, where: this.#document.where(at) }];
    });
  }

  #pattern(text: string, at: readonly PropertyKey[]): TablePattern | undefined {
    try {
      return TablePattern.parse(text);
    } catch (error) {
      this.#findings.push(this.#document.finding(at, 'key', (error as Error).message));
      return undefined;
    }
  }

  #mapping(
    table: string,
    line: { readonly sink: string },
    sinks: readonly SinkEntry[],
    at: readonly PropertyKey[],
  ): Mapping | undefined {
    const { sink, ...options } = line;
    const entry = sinks.find((candidate) => candidate.name === sink);
    if (entry === undefined) {
      // Said already, where the sink stands.
      if (this.#unusable.has(sink)) return undefined;
      const names = sinks.map((candidate) => candidate.name);
      this.#fail([...at, 'sink'], `there is no sink "${sink}"${hint(sink, names)}`);
      return undefined;
    }
    const parsed = validate({
      document: this.#document,
      schema: entry.connector.mapping,
      value: options,
      at,
      findings: this.#findings,
    });
    if (parsed === undefined) return undefined;
    return { id: `${table} -> ${sink}`, table, sink, options: parsed, where: this.#document.where(at) };
  }

  #fail(path: readonly PropertyKey[], message: string): void {
    this.#findings.push(this.#document.finding(path, 'value', message));
  }
}

/** A bound that is not given does not bind; without any, nothing is kept. */
function retention(given: { age?: number | undefined; bytes?: number | undefined }): {
  retainAgeMs: number;
  retainBytes: number;
} {
  if (given.age === undefined && given.bytes === undefined) return { retainAgeMs: 0, retainBytes: 0 };
  return {
    retainAgeMs: given.age ?? Number.POSITIVE_INFINITY,
    retainBytes: given.bytes ?? Number.POSITIVE_INFINITY,
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
