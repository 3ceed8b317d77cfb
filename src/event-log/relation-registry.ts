import type { ColumnType, Relation, RelationDefinition } from '../events/relation.ts';
import { misuse } from './log-errors.ts';

/** What an event without a table, a logical message, is written under. */
export const NO_TABLE: RelationDefinition = {
  oid: 0,
  schema: '',
  table: '',
  replicaIdentity: 'nothing',
  columns: [],
  key: [],
};

/**
 * The relation versions of one log: equal definitions share a number, and a number has one Relation object, so that holders can
 * compare by identity. Filled by the writer and by readers that meet older versions on disk.
 */
export class RelationRegistry {
  readonly #byVersion = new Map<number, Relation>();
  readonly #byText = new Map<string, Relation>();
  readonly #texts = new Map<number, string>();
  #next: number;

  /** `next`: the first number that no segment uses. */
  constructor(next: number) {
    this.#next = next;
  }

  /** Relation versions given so far are below it. */
  get next(): number {
    return this.#next;
  }

  define(definition: RelationDefinition): Relation {
    const text = encodeRelation(definition);
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const relation = { ...decodeRelation(text), version: this.#next++ };
    this.#add(relation, text);
    return relation;
  }

  /** Takes over a version found in the log. */
  learn(version: number, text: () => string): void {
    if (this.#byVersion.has(version)) return;
    const read = text();
    this.#add({ ...decodeRelation(read), version }, read);
    this.#next = Math.max(this.#next, version + 1);
  }

  get(version: number): Relation {
    const relation = this.#byVersion.get(version);
    if (relation === undefined) throw misuse(`relation version ${version} is not known here`);
    return relation;
  }

  /** The stored form of a version. */
  textOf(version: number): string {
    const text = this.#texts.get(version);
    if (text === undefined) throw misuse(`relation version ${version} was not given by this log`);
    return text;
  }

  #add(relation: Relation, text: string): void {
    this.#byVersion.set(relation.version, relation);
    this.#texts.set(relation.version, text);
    this.#byText.set(text, relation);
  }
}

/** JSON with the fields in one order: equal definitions give equal text. */
function encodeRelation(definition: RelationDefinition): string {
  const { oid, schema, table, replicaIdentity, columns, key } = definition;
  return JSON.stringify({
    oid,
    schema,
    table,
    replicaIdentity,
    columns: columns.map(({ name, attnum, type, inIdentity, nullable, captured }) => ({
      name,
      attnum,
      type: orderedType(type),
      inIdentity,
      nullable,
      captured,
    })),
    key,
  });
}

function orderedType(type: ColumnType): ColumnType {
  const { oid, name, schema, kind, typmod, element, base, labels, delimiter } = type;
  return {
    oid,
    name,
    schema,
    kind,
    typmod,
    ...(element === undefined ? {} : { element: orderedType(element) }),
    ...(base === undefined ? {} : { base: orderedType(base) }),
    ...(labels === undefined ? {} : { labels }),
    ...(delimiter === undefined ? {} : { delimiter }),
  };
}

/** The text is covered by its block's checksum: it is what `encodeRelation` wrote. */
function decodeRelation(text: string): RelationDefinition {
  return JSON.parse(text) as RelationDefinition;
}
