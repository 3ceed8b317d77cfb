import type { TableRule } from '../../../src/config/pipeline-config.ts';
import { closest } from '../../../src/config/suggest.ts';
import { formatTableName, type TableName } from '../../../src/config/table-pattern.ts';
import { TableRules } from '../../../src/config/table-rules.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { sqlTable } from '../connection/quoting.ts';
import { entry } from './capture.ts';

/** Something with rows, as {@link LISTING_QUERY} reads it. */
export interface ListedTable extends TableName {
  readonly oid: number;
  /** pg_class.relkind. https://www.postgresql.org/docs/current/catalog-pg-class.html */
  readonly kind: string;
  /** pg_class.relpersistence: p, u or t. */
  readonly persistence: string;
  /** Of a partition: the table it ends up under. */
  readonly rootOid: number | null;
  /** Made by initdb: cannot be published. */
  readonly system: boolean;
}

export const LISTING_QUERY = `
  SELECT c.oid, n.nspname AS schema, c.relname AS "table", c.relkind AS kind, c.relpersistence AS persistence,
         CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid END AS "rootOid", c.oid < 16384 AS system
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')`;

export interface SelectedTable {
  readonly listed: ListedTable;
  readonly rule: TableRule;
}

/** A rule that cannot be followed, or not wholly. */
export interface SelectionProblem {
  readonly rule: TableRule;
  /** One sentence without its full stop. */
  readonly about: string;
  readonly fix?: string | undefined;
  /** error: what is asked for by name is not to be had. warning: a pattern passes something over, or matches nothing. */
  readonly level: 'error' | 'warning';
}

export interface Selection {
  readonly tables: readonly SelectedTable[];
  readonly problems: readonly SelectionProblem[];
}

/**
 * The tables that the rules stand for. Pure. Partitions are published under their root, so it is the root that has to be selected;
 * views, foreign tables and what leaves no trace in the WAL are no tables to a pattern, and an error where they are asked for by name.
 */
export function selectTables(rules: readonly TableRule[], listing: readonly ListedTable[]): Selection {
  const byRule = new TableRules(rules);
  const matched = new Map<TableRule, ListedTable[]>(rules.map((rule) => [rule, []]));
  for (const listed of listing) {
    const rule = byRule.ruleFor(listed.schema, listed.table);
    if (rule !== undefined && (!listed.system || rule.pattern.exact !== undefined)) {
      matched.get(rule)?.push(listed);
    }
  }
  const publishable = [...matched].flatMap(([rule, all]) =>
    all.filter((listed) => obstacle(listed) === undefined).map((listed) => ({ rule, listed })),
  );
  const tables = publishable.filter(({ listed }) => listed.rootOid === null);
  const selected = new Set(tables.map(({ listed }) => listed.oid));
  const roots = new Map(listing.map((listed) => [listed.oid, listed]));
  const problems = [...matched].flatMap(([rule, all]) => [
    ...unmatched(rule, all, listing),
    ...all.flatMap((listed) => unpublishable(rule, listed)),
    ...all.flatMap((listed) => orphanedPartition(rule, listed, { selected, roots })),
  ]);
  return { tables, problems: onePerRuleAndText(problems) };
}

/** Throws E_TABLE_MISSING naming everything that was asked for by name and cannot be had. */
export function requireSelection({ problems }: Selection): void {
  const errors = problems.filter(({ level }) => level === 'error');
  if (errors.length === 0) return;
  throw new TailraceError({
    code: 'E_TABLE_MISSING',
    message: errors.map(({ about }) => `${about}.`).join(' '),
    fix: errors.flatMap(({ fix }) => fix ?? []).join('\n') || undefined,
  });
}

function unmatched(
  rule: TableRule,
  matched: readonly ListedTable[],
  listing: readonly ListedTable[],
): SelectionProblem[] {
  if (matched.length > 0) return [];
  const { exact } = rule.pattern;
  if (exact === undefined) {
    return [{ rule, level: 'warning', about: `${entry(rule)} matches no table` }];
  }
  const names = listing.filter(({ system }) => !system).map(formatTableName);
  const meant = closest(formatTableName(exact), names);
  return [
    {
      rule,
      level: 'error',
      about: `${entry(rule)} does not exist`,
      fix: meant === undefined ? undefined : `perhaps ${meant} is meant`,
    },
  ];
}

function unpublishable(rule: TableRule, listed: ListedTable): SelectionProblem[] {
  const why = obstacle(listed);
  if (why === undefined) return [];
  const named = rule.pattern.exact !== undefined;
  // A pattern for tables need not speak of views, nor of what another session has for itself.
  if (!named && listed.persistence !== 'u') return [];
  const table = formatTableName(listed);
  return [
    {
      rule,
      level: named ? 'error' : 'warning',
      about: named ? `${entry(rule)} ${why}` : `${entry(rule)} passes over ${table}, which ${why}`,
      fix: listed.persistence === 'u' ? `ALTER TABLE ${sqlTable(listed)} SET LOGGED;` : undefined,
    },
  ];
}

function orphanedPartition(
  rule: TableRule,
  listed: ListedTable,
  {
    selected,
    roots,
  }: { readonly selected: ReadonlySet<number>; readonly roots: ReadonlyMap<number, ListedTable> },
): SelectionProblem[] {
  const root = listed.rootOid === null ? undefined : roots.get(listed.rootOid);
  if (root === undefined) return [];
  const named = rule.pattern.exact !== undefined;
  if (!named && selected.has(root.oid)) return [];
  const name = formatTableName(root);
  return [
    {
      rule,
      level: 'error',
      about: named
        ? `${entry(rule)} is a partition of ${name}: its rows come under that name`
        : `${entry(rule)} matches partitions of ${name}, whose rows come under that name, but not ${name} itself`,
      fix: `tables: { ${name}: ... }`,
    },
  ];
}

/** Why a table cannot be published, as the rest of a sentence about it. https://www.postgresql.org/docs/current/logical-replication-restrictions.html */
function obstacle({ kind, persistence, system }: ListedTable): string | undefined {
  if (system) return 'belongs to the system and cannot be published';
  const noTable = NO_TABLES[kind];
  if (noTable !== undefined) return `is ${noTable}: only tables can be published`;
  if (persistence === 'u') return 'is unlogged: its changes are not in the WAL';
  if (persistence === 't') return 'is temporary: its changes are not in the WAL';
  return undefined;
}

const NO_TABLES: Readonly<Record<string, string>> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  S: 'a sequence',
};

function onePerRuleAndText(problems: readonly SelectionProblem[]): SelectionProblem[] {
  return [...new Map(problems.map((problem) => [problem.about, problem])).values()];
}
