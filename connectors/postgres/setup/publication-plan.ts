import type { TableName } from '../../../src/config/table-pattern.ts';
import type { RelationDefinition } from '../../../src/events/relation.ts';
import { sqlName, sqlTable, sqlText } from '../connection/quoting.ts';
import type { PublicationFacts } from './publication-facts.ts';

const MARK = 'Managed by Tailrace';
const COMMENT = `${MARK}: its tables follow the configuration of a pipeline.`;
const ALL_OPERATIONS = "publish = 'insert, update, delete, truncate'";
const VIA_ROOT = 'publish_via_partition_root = true';

export interface PublicationQuestion {
  /** Undefined: it does not exist. */
  readonly facts: PublicationFacts | undefined;
  readonly publication: string;
  readonly tables: readonly RelationDefinition[];
  /** oids of those that are partitioned. */
  readonly partitioned: ReadonlySet<number>;
  readonly manage: boolean;
}

export interface PublicationPlan {
  /** SQL without semicolons, to be run in one transaction; empty: it publishes what it has to. */
  readonly statements: readonly string[];
  /** What is wrong now, each the rest of a sentence that begins with the publication. */
  readonly reasons: readonly string[];
  readonly added: readonly RelationDefinition[];
  readonly dropped: readonly TableName[];
  /** In the publication, not in the configuration, and not ours to drop: the server sends their changes for nothing. */
  readonly unused: readonly TableName[];
}

/**
 * What makes a publication publish all operations of the tables under their partition roots. Pure. Tables are dropped only from a publication that
 * Tailrace made and manages: another one may have other readers.
 */
export function planPublication(question: PublicationQuestion): PublicationPlan {
  const { facts, publication, tables, partitioned, manage } = question;
  if (facts === undefined) return create(question);
  const ours = manage && facts.owned && facts.comment?.startsWith(MARK) === true;
  const name = sqlName(publication);
  const wanted = new Set(tables.map(({ oid }) => oid));
  const named = new Set(facts.tables.map(({ oid }) => oid));
  const added = facts.allTables
    ? []
    : tables.filter(({ oid, schema }) => !named.has(oid) && !facts.schemas.includes(schema));
  const extra = facts.tables.filter(({ oid }) => !wanted.has(oid));
  const dropped = ours ? extra : [];
  const needsRoot = !facts.viaPartitionRoot && (ours || tables.some(({ oid }) => partitioned.has(oid)));
  const settings = [...(facts.allOperations ? [] : [ALL_OPERATIONS]), ...(needsRoot ? [VIA_ROOT] : [])];
  const statements: string[] = [];
  const reasons: string[] = [];
  if (settings.length > 0) statements.push(`ALTER PUBLICATION ${name} SET (${settings.join(', ')})`);
  if (!facts.allOperations) reasons.push('does not publish all of insert, update, delete and truncate');
  if (needsRoot) reasons.push('publishes partitions under their own names');
  if (added.length > 0) {
    statements.push(`ALTER PUBLICATION ${name} ADD TABLE ${tableList(added)}`);
    reasons.push(`lacks ${nameList(added)}`);
  }
  if (dropped.length > 0) {
    statements.push(`ALTER PUBLICATION ${name} DROP TABLE ${tableList(dropped)}`);
    reasons.push(`still has ${nameList(dropped)}`);
  }
  return { statements, reasons, added, dropped, unused: ours ? [] : extra };
}

function create({ publication, tables, manage }: PublicationQuestion): PublicationPlan {
  const statements = [createPublication(publication, tables)];
  if (manage) statements.push(`COMMENT ON PUBLICATION ${sqlName(publication)} IS ${sqlText(COMMENT)}`);
  return { statements, reasons: ['does not exist'], added: tables, dropped: [], unused: [] };
}

/** SQL without its semicolon. */
export function createPublication(publication: string, tables: readonly TableName[]): string {
  const forTables = tables.length === 0 ? '' : ` FOR TABLE ${tableList(tables)}`;
  return `CREATE PUBLICATION ${sqlName(publication)}${forTables} WITH (${ALL_OPERATIONS}, ${VIA_ROOT})`;
}

/** ONLY: tables that inherit from these are selected by their own names. Partitions come along all the same. */
function tableList(tables: readonly TableName[]): string {
  return tables.map((table) => `ONLY ${sqlTable(table)}`).join(', ');
}

function nameList(tables: readonly TableName[]): string {
  const names = tables.slice(0, 5).map(sqlTable).join(', ');
  return tables.length > 5 ? `${names} and ${tables.length - 5} more` : names;
}
