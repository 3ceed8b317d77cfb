import type { ReplicaIdentity } from '../../../src/events/relation.ts';
import type { UniqueIndex } from './table-query.ts';

/** A column of the tuples, and which column of the catalog it is. */
export interface KeyCandidate {
  /** 0: not known to the catalog under this name and type. */
  readonly attnum: number;
  readonly nullable: boolean;
  readonly inIdentity: boolean;
}

export interface KeyQuestion {
  readonly columns: readonly KeyCandidate[];
  readonly replicaIdentity: ReplicaIdentity;
  readonly indexes: readonly UniqueIndex[];
}

/**
 * Indices into `columns` of the event key: the primary key, else a unique index (one without nullable columns first, then the replica identity,
 * then by name), else nothing. Where the catalog has moved on since the event was written, the replica identity that came with it decides:
 * under `default` that was the primary key.
 */
export function eventKey({ columns, replicaIdentity, indexes }: KeyQuestion): number[] {
  const identity = columns.flatMap((column, i) => (column.inIdentity ? [i] : []));
  const keys = preferred(indexes, columns).flatMap((index) => {
    const key = index.columns.map((attnum) => columns.findIndex((column) => column.attnum === attnum));
    return key.includes(-1) ? [] : [key];
  });
  if (replicaIdentity === 'default' && identity.length > 0) {
    return keys.find((key) => sameMembers(key, identity)) ?? identity;
  }
  const key = keys[0];
  if (key !== undefined) return key;
  return replicaIdentity === 'index' ? identity : [];
}

function preferred(indexes: readonly UniqueIndex[], columns: readonly KeyCandidate[]): UniqueIndex[] {
  const rank = (index: UniqueIndex): number => {
    const nullable = index.columns.some(
      (attnum) => columns.find((column) => column.attnum === attnum)?.nullable !== false,
    );
    return (index.primary ? 0 : 4) + (nullable ? 2 : 0) + (index.identity ? 0 : 1);
  };
  return [...indexes].sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
}

function sameMembers(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((each) => b.includes(each));
}
