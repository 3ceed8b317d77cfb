import type { TableRule } from '../../../src/config/pipeline-config.ts';
import { formatTableName, type TableName } from '../../../src/config/table-pattern.ts';
import { TableRules } from '../../../src/config/table-rules.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { RelationDefinition } from '../../../src/events/relation.ts';
import type { SourceTable } from '../../../src/pipeline/source.ts';
import type { ConnectionSettings } from '../connection/connection-settings.ts';
import { SqlSession } from '../connection/sql-session.ts';
import type { RelationMessage } from '../pgoutput/messages.ts';
import { entry, isCaptured, requireColumnsExist, requireKeyCaptured } from './capture.ts';
import { FIRST_NORMAL_OID, TYPES_QUERY, type TypeRow } from './column-types.ts';
import { defineRelation, type Shape, shapeOf } from './define-relation.ts';
import {
  LISTING_QUERY,
  type ListedTable,
  requireSelection,
  type SelectedTable,
  type Selection,
  selectTables,
} from './select-tables.ts';
import { PUBLISHED_QUERY, type PublishedRow, TABLES_QUERY, type TableRow } from './table-query.ts';

const DOING = 'Reading the catalog';
const TABLES_AT_ONCE = 1000;

export interface CatalogOptions {
  readonly settings: ConnectionSettings;
  readonly rules: readonly TableRule[];
  /** Says which columns are published, once it exists. */
  readonly publication: string;
}

/**
 * What the tables look like: the catalog's part of a relation definition. Over one connection of its own, made when needed. Every method throws
 * what connect() throws.
 */
export class Catalog implements AsyncDisposable {
  readonly #options: CatalogOptions;
  readonly #rules: TableRules;
  #session: SqlSession;
  /** Built-in types only: the meaning of others can change at any time (a label added, a domain altered). */
  readonly #builtIn = new Map<number, TypeRow>();
  /** attnum and name of what the configuration leaves out, by table: a column stays out when it is renamed. */
  readonly #leftOut = new Map<number, Map<number, string>>();

  constructor(options: CatalogOptions) {
    this.#options = options;
    this.#rules = new TableRules(options.rules);
    this.#session = newSession(options);
  }

  /** Whether the configuration asks for this table's changes. */
  selects({ schema, table }: TableName): boolean {
    return this.#rules.ruleFor(schema, table) !== undefined;
  }

  /** Forgets the connection: to be called with every new replication connection, which may be to another server. */
  async refresh(): Promise<void> {
    const before = this.#session;
    this.#session = newSession(this.#options);
    this.#builtIn.clear();
    await before.close();
  }

  /**
   * Completes a Relation message. A table that was dropped meanwhile is defined by the message alone, with the types that still exist.
   * Throws E_CONFIG when a key column is left out, or when a column that was left out comes under another name.
   */
  async relation(message: RelationMessage, signal: AbortSignal): Promise<RelationDefinition> {
    const [row] = await this.#query<TableRow>(TABLES_QUERY, [[message.oid]], signal);
    const types = await this.#types(
      message.columns.map(({ typeOid }) => typeOid),
      signal,
    );
    return this.#define(message, row, types);
  }

  /**
   * Every table that the configuration selects, as its next change would be described. Throws E_TABLE_MISSING for what is named and cannot be
   * had, E_CONFIG for columns that do not exist or cannot be left out.
   */
  async tables(signal: AbortSignal): Promise<SourceTable[]> {
    const selection = await this.select(signal);
    requireSelection(selection);
    return this.describe(selection.tables, signal);
  }

  /** What the configuration's rules stand for now, and what is wrong with them. */
  async select(signal: AbortSignal): Promise<Selection> {
    const listing = await this.#query<ListedTable>(LISTING_QUERY, [], signal);
    return selectTables(this.#options.rules, listing);
  }

  /** The shapes of selected tables. Throws E_CONFIG as tables() does. */
  async describe(selected: readonly SelectedTable[], signal: AbortSignal): Promise<SourceTable[]> {
    const rows: TableRow[] = [];
    for (let at = 0; at < selected.length; at += TABLES_AT_ONCE) {
      const oids = selected.slice(at, at + TABLES_AT_ONCE).map(({ listed }) => listed.oid);
      rows.push(...(await this.#query<TableRow>(TABLES_QUERY, [oids], signal)));
    }
    this.#requireColumns(rows);
    const published = await this.#published(signal);
    const shapes = rows.map((row) => ({ row, shape: shapeOf(row, published.get(formatTableName(row))) }));
    const types = await this.#types(
      shapes.flatMap(({ shape }) => shape.columns.map(({ typeOid }) => typeOid)),
      signal,
    );
    return shapes.map(({ row, shape }) => ({
      definition: this.#define(shape, row, types),
      estimatedRows: row.estimatedRows,
    }));
  }

  close(): Promise<void> {
    return this.#session.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #define(shape: Shape, row: TableRow | undefined, types: ReadonlyMap<number, TypeRow>): RelationDefinition {
    const rule = this.#rules.ruleFor(shape.schema, shape.table);
    const captured = (column: string): boolean => rule !== undefined && isCaptured(column, rule);
    const definition = defineRelation({ shape, row, types, captured });
    if (rule === undefined) return definition;
    requireKeyCaptured(definition, rule);
    this.#requireNotRenamed(definition, rule);
    return definition;
  }

  #requireNotRenamed(definition: RelationDefinition, rule: TableRule): void {
    const leftOut = this.#leftOut.get(definition.oid) ?? new Map<number, string>();
    for (const { name, attnum, captured } of definition.columns) {
      if (attnum === 0) continue;
      const before = leftOut.get(attnum);
      if (!captured) leftOut.set(attnum, name);
      else if (before !== undefined && before !== name) throw renamed(definition, rule, { before, name });
    }
    if (leftOut.size > 0) this.#leftOut.set(definition.oid, leftOut);
  }

  #requireColumns(rows: readonly TableRow[]): void {
    const known = new Map<TableRule, Set<string>>();
    for (const { schema, table, columns } of rows) {
      const rule = this.#rules.ruleFor(schema, table);
      if (rule === undefined) continue;
      const names = known.get(rule) ?? new Set();
      for (const { name } of columns) names.add(name);
      known.set(rule, names);
    }
    for (const [rule, names] of known) requireColumnsExist(rule, names);
  }

  async #published(signal: AbortSignal): Promise<ReadonlyMap<string, PublishedRow>> {
    const rows = await this.#query<PublishedRow>(PUBLISHED_QUERY, [this.#options.publication], signal);
    return new Map(rows.map((row) => [formatTableName(row), row]));
  }

  async #types(oids: readonly number[], signal: AbortSignal): Promise<ReadonlyMap<number, TypeRow>> {
    const wanted = [...new Set(oids)].filter((oid) => !this.#builtIn.has(oid));
    const types = new Map(this.#builtIn);
    if (wanted.length === 0) return types;
    for (const row of await this.#query<TypeRow>(TYPES_QUERY, [wanted], signal)) {
      types.set(row.oid, row);
      if (row.oid < FIRST_NORMAL_OID) this.#builtIn.set(row.oid, row);
    }
    return types;
  }

  #query<R extends object>(sql: string, params: readonly unknown[], signal: AbortSignal): Promise<R[]> {
    return this.#session.query<R>({ sql, params, doing: DOING, signal });
  }
}

function newSession({ settings }: CatalogOptions): SqlSession {
  return new SqlSession({ settings, purpose: 'catalog' });
}

function renamed(
  definition: RelationDefinition,
  rule: TableRule,
  { before, name }: { readonly before: string; readonly name: string },
): TailraceError {
  return new TailraceError({
    code: 'E_CONFIG',
    message:
      `${entry(rule)} leaves out the column ${JSON.stringify(before)} of ${formatTableName(definition)}, ` +
      `which is called ${JSON.stringify(name)} now: its values would be let out.`,
    fix: `columns: { exclude: [${name}] }, or columns.include`,
  });
}
