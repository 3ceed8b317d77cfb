import { TailraceError } from '../../errors/tailrace-error.ts';
import type { ColumnState, EventView } from '../change-event.ts';
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

/** Why an event cannot give a column's value, as the end of a sentence. */
const WHY = {
  null: 'is null',
  unchanged: 'is an unchanged TOAST value that the server did not send',
  'not-captured': 'was not sent by the server',
  absent: 'is not in the event',
} as const;

/** A column that a key or a template needs and the event has no value of. */
export function missingColumn(
  event: EventView,
  column: number,
  purpose: string,
  state: Exclude<ColumnState, 'value'>,
): TailraceError {
  const { schema, table } = event.relation;
  return new TailraceError({
    code: 'E_UNSUPPORTED_ROW',
    message: `${columnName(event, column)} is part of ${purpose} and ${WHY[state]}.`,
    fix:
      state === 'null'
        ? 'Use columns that are never null.'
        : `ALTER TABLE ${quoteIdentifier(schema)}.${quoteIdentifier(table)} REPLICA IDENTITY FULL;`,
  });
}

function columnName(event: EventView, column: number): string {
  const { schema, table, columns } = event.relation;
  return `Column "${columns[column]?.name ?? column}" of ${schema}.${table} at ${formatPosition(event.position)}`;
}

function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
