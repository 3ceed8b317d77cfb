import type { TableRule } from '../../../src/config/pipeline-config.ts';
import { formatTableName } from '../../../src/config/table-pattern.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { RelationDefinition } from '../../../src/events/relation.ts';

/** Whether a column's values may leave the database under the rule of its table. */
export function isCaptured(column: string, { columns }: Pick<TableRule, 'columns'>): boolean {
  if (columns?.include !== undefined && !columns.include.includes(column)) return false;
  return columns?.exclude?.includes(column) !== true;
}

/**
 * What is needed to tell rows apart cannot be left out. Throws E_CONFIG naming the first such column. Under REPLICA IDENTITY FULL that is the
 * event key only: the rest of the identity is the whole row.
 */
export function requireKeyCaptured(
  definition: Pick<RelationDefinition, 'schema' | 'table' | 'columns' | 'key' | 'replicaIdentity'>,
  rule: TableRule,
): void {
  const { columns, key, replicaIdentity } = definition;
  const missing = columns.find(
    (column, i) => !column.captured && (key.includes(i) || (column.inIdentity && replicaIdentity !== 'full')),
  );
  if (missing === undefined) return;
  throw new TailraceError({
    code: 'E_CONFIG',
    message:
      `${entry(rule)} leaves out the column ${JSON.stringify(missing.name)} of ${formatTableName(definition)}, ` +
      'which is part of its key: without it changes could not be told apart.',
    fix: 'take the column out of columns.exclude, or add it to columns.include',
  });
}

/**
 * Refuses a column that no table under the rule has: a typing error there would let out what was to stay in. `known`: the columns of those
 * tables. Throws E_CONFIG.
 */
export function requireColumnsExist(rule: TableRule, known: ReadonlySet<string>): void {
  if (known.size === 0) return;
  const names = [...(rule.columns?.exclude ?? []), ...(rule.columns?.include ?? [])];
  const missing = names.find((name) => !known.has(name));
  if (missing === undefined) return;
  throw new TailraceError({
    code: 'E_CONFIG',
    message: `${entry(rule)} names the column ${JSON.stringify(missing)}, which no table it stands for has.`,
    fix: `columns there are: ${[...known].slice(0, 30).join(', ')}${known.size > 30 ? ', ...' : ''}`,
  });
}

/** `public.* (tailrace.yaml:14:3)` */
export function entry({ pattern, where }: Pick<TableRule, 'pattern' | 'where'>): string {
  return `${pattern.text} (${where})`;
}
