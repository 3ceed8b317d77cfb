import { escapeIdentifier, escapeLiteral } from 'pg';
import type { TableName } from '../../../src/config/table-pattern.ts';

/** A name in SQL; always quoted, so that case and reserved words do not matter. */
export function sqlName(name: string): string {
  return escapeIdentifier(name);
}

export function sqlTable({ schema, table }: TableName): string {
  return `${escapeIdentifier(schema)}.${escapeIdentifier(table)}`;
}

export function sqlText(text: string): string {
  return escapeLiteral(text);
}

/**
 * A name in a replication command. These have a grammar of their own (repl_scanner.l): no parameters, no E'' strings; a name is quoted by doubling.
 */
export function replicationName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
