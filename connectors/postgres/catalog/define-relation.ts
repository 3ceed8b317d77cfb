import type { RelationColumn, RelationDefinition, ReplicaIdentity } from '../../../src/events/relation.ts';
import type { RelationMessage, RelationMessageColumn } from '../pgoutput/messages.ts';
import { columnType, refusesNull, type TypeRow } from './column-types.ts';
import { eventKey } from './event-key.ts';
import type { PublishedRow, TableColumn, TableRow } from './table-query.ts';

/** What a Relation message says, or would say. */
export type Shape = Pick<RelationMessage, 'oid' | 'schema' | 'table' | 'replicaIdentity' | 'columns'>;

export interface DefinitionParts {
  readonly shape: Shape;
  /** Undefined: the table is gone. */
  readonly row: TableRow | undefined;
  readonly types: ReadonlyMap<number, TypeRow>;
  readonly captured: (column: string) => boolean;
}

const IDENTITIES: Readonly<Record<string, ReplicaIdentity>> = {
  d: 'default',
  f: 'full',
  i: 'index',
  n: 'nothing',
};

/** Versions before this one publish no generated columns. */
const PUBLISHES_GENERATED = 180_000;

/**
 * The shape is the truth about columns: the catalog may be newer than the event. What it adds belongs to a column when name and type are still
 * the same.
 */
export function defineRelation({ shape, row, types, captured }: DefinitionParts): RelationDefinition {
  const { oid, schema, table, replicaIdentity } = shape;
  const columns = shape.columns.map((column): RelationColumn => {
    const known = row?.columns.find(({ name, type }) => name === column.name && type === column.typeOid);
    return {
      name: column.name,
      attnum: known?.attnum ?? 0,
      type: columnType(column.typeOid, column.typmod, types),
      inIdentity: column.inIdentity,
      nullable: known?.notNull !== true && !refusesNull(column.typeOid, types),
      captured: captured(column.name),
    };
  });
  const key = eventKey({ columns, replicaIdentity, indexes: row?.indexes ?? [] });
  return { oid, schema, table, replicaIdentity, columns, key };
}

/** The Relation message that the table's next change would bring. */
export function shapeOf(row: TableRow, published: PublishedRow | undefined): Shape {
  const replicaIdentity = IDENTITIES[row.identity] ?? 'nothing';
  const identity = identityColumns(row, replicaIdentity);
  const columns = row.columns
    .filter((column) => isPublished(column, published))
    .map(({ name, type, typmod, attnum }): RelationMessageColumn => {
      return { name, typeOid: type, typmod, inIdentity: identity === 'all' || identity.has(attnum) };
    });
  return { oid: row.oid, schema: row.schema, table: row.table, replicaIdentity, columns };
}

function isPublished({ name, generated }: TableColumn, published: PublishedRow | undefined): boolean {
  if (published === undefined || published.columns === null) return !generated;
  return published.columns.includes(name) && (!generated || published.serverVersion >= PUBLISHES_GENERATED);
}

/** A deferrable primary key cannot be the replica identity; an index that was dropped leaves none. */
function identityColumns(row: TableRow, identity: ReplicaIdentity): ReadonlySet<number> | 'all' {
  switch (identity) {
    case 'full':
      return 'all';
    case 'nothing':
      return new Set();
    case 'default':
      return new Set(row.indexes.find(({ primary, immediate }) => primary && immediate)?.columns);
    case 'index':
      return new Set(row.indexes.find((index) => index.identity)?.columns);
  }
}
