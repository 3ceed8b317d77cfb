import type { Relation } from '../relation.ts';

/** Indices of the columns an output shows, in table order: those of the selection (all when undefined) that the log holds. */
export function selectedColumns(relation: Relation, selection?: readonly number[]): readonly number[] {
  const wanted = selection === undefined ? undefined : new Set(selection);
  return relation.columns.flatMap((column, i) =>
    column.captured && (wanted === undefined || wanted.has(i)) ? [i] : [],
  );
}
