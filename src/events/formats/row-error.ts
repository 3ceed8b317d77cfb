import { TailraceError } from '../../errors/tailrace-error.ts';
import type { EventView } from '../change-event.ts';
import { formatPosition } from '../position.ts';
import { UnwritableValue } from '../values/value-writer.ts';

/** Completes what a value writer threw with where it happened; anything else is passed on as it is. */
export function rowError(thrown: unknown, event: EventView, column: number): unknown {
  if (!(thrown instanceof UnwritableValue)) return thrown;
  return new TailraceError({
    code: thrown.code,
    message: `${columnName(event, column)} ${thrown.message}.`,
    fix: thrown.fix,
  });
}

/** A column that a key or a template needs and the event has no value of; `why` ends the sentence. */
export function missingColumn(
  event: EventView,
  column: number,
  purpose: string,
  why: string,
  fix: string = fullIdentity(event),
): TailraceError {
  return new TailraceError({
    code: 'E_UNSUPPORTED_ROW',
    message: `${columnName(event, column)} is part of ${purpose} and ${why}.`,
    fix,
  });
}

function fullIdentity({ relation: { schema, table } }: EventView): string {
  return `ALTER TABLE ${quoteIdentifier(schema)}.${quoteIdentifier(table)} REPLICA IDENTITY FULL;`;
}

function columnName(event: EventView, column: number): string {
  const { schema, table, columns } = event.relation;
  return `Column "${columns[column]?.name ?? column}" of ${schema}.${table} at ${formatPosition(event.position)}`;
}

function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
