/**
 * A table's shape as it was when its events were written: what pgoutput's Relation message says, completed from the catalog.
 * A new shape is a new relation version; events name the version they were written under, so old ones keep their meaning.
 */
export interface RelationDefinition {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  /** https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-REPLICA-IDENTITY */
  readonly replicaIdentity: ReplicaIdentity;
  /** In the order of the tuples. */
  readonly columns: readonly RelationColumn[];
  /**
   * Indices into `columns` of the event key, in key order: the primary key, else a unique index, else empty (events without key).
   * Not the replica identity: see `RelationColumn.inIdentity`.
   */
  readonly key: readonly number[];
}

/** A definition with the number the event log gave it; unique within one log. */
export interface Relation extends RelationDefinition {
  readonly version: number;
}

export type ReplicaIdentity = 'default' | 'nothing' | 'full' | 'index';

export interface RelationColumn {
  readonly name: string;
  /** pg_attribute.attnum: the column's identity across renames. 0 when the catalog no longer knows it. */
  readonly attnum: number;
  readonly type: ColumnType;
  /** Part of the replica identity, as flagged in the Relation message: present in a key-only old tuple. */
  readonly inIdentity: boolean;
  /** Not declared NOT NULL (directly or through a domain or primary key). */
  readonly nullable: boolean;
  /** False when the configuration excludes the column: its value is dropped before the log and its events say `not-captured`. */
  readonly captured: boolean;
}

/**
 * A type as the encoders need it. For a domain, `base` is the type below it with the domain's own modifier applied;
 * for an array, `element` is its element type with the column's modifier.
 */
export interface ColumnType {
  readonly oid: number;
  /** pg_type.typname: `int4`, `numeric`, `_text`, `order_status`. */
  readonly name: string;
  readonly schema: string;
  readonly kind:
    | 'base'
    | 'enum'
    | 'domain'
    | 'array'
    | 'composite'
    | 'range'
    | 'multirange'
    | 'pseudo'
    | 'unknown';
  /** atttypmod, or the domain's; -1 for none. https://www.postgresql.org/docs/current/catalog-pg-attribute.html */
  readonly typmod: number;
  readonly element?: ColumnType | undefined;
  readonly base?: ColumnType | undefined;
  /** Enum labels in enumsortorder. */
  readonly labels?: readonly string[] | undefined;
  /** The array's text delimiter, pg_type.typdelim of the element: `,` for all but box. */
  readonly delimiter?: string | undefined;
}
