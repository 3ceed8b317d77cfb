import type { Mapping } from '../../src/delivery/sink.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import type { Relation } from '../../src/events/relation.ts';
import type { SqliteMapping } from './config.ts';
import { type MirrorColumn, type MirrorTable, RESERVED_PREFIX, ROWID_COLUMN } from './mirror-table.ts';
import { foldCase } from './sql.ts';
import { storageOf, typeFamily } from './storage.ts';

export interface MirrorDefinition {
  readonly table: MirrorTable;
  /** For each column of the mirror, its index in the relation. */
  readonly sources: readonly number[];
}

/**
 * What a mapping asks of the mirror of one relation version. Throws E_SINK_CONFIG and E_REPLICA_IDENTITY, each with its remedy;
 * touches no database.
 */
export function defineMirror(
  mapping: Mapping<SqliteMapping>,
  relation: Relation,
  name: string,
): MirrorDefinition {
  checkTableName(mapping, name);
  const sources = mirroredColumns(mapping, relation);
  const columns = sources.map((i): MirrorColumn => {
    const { name, attnum, type } = column(relation, i);
    return { name, attnum, storage: storageOf(type), family: typeFamily(type) };
  });
  checkColumnNames(mapping, relation, columns);
  const key = mirrorKey(mapping, relation).map((i) => {
    const at = sources.indexOf(i);
    if (at < 0) {
      throw configError(
        mapping,
        `the mirror leaves out ${column(relation, i).name}, a column of the key of ${qualified(relation)}`,
        'Take it into `columns`: rows are found by their key.',
      );
    }
    return at;
  });
  return {
    sources,
    table: {
      name,
      source: qualified(relation),
      oid: relation.oid,
      template: mapping.options.table,
      columns,
      key,
      wholeImages: relation.replicaIdentity === 'full',
      maxAttnum: Math.max(0, ...relation.columns.map(({ attnum }) => attnum)),
      search: search(mapping, relation, columns),
    },
  };
}

function mirroredColumns(mapping: Mapping<SqliteMapping>, relation: Relation): number[] {
  const { include, exclude = [] } = mapping.options.columns ?? {};
  const known = new Set(relation.columns.map(({ name }) => name));
  const unknown = [...(include ?? []), ...exclude].filter((name) => !known.has(name));
  if (unknown.length > 0) {
    throw configError(
      mapping,
      `${qualified(relation)} has no column ${unknown.join(', ')}`,
      `Its columns are ${[...known].join(', ')}.`,
    );
  }
  const chosen: number[] = [];
  for (const [i, { name, captured }] of relation.columns.entries()) {
    if (!captured || exclude.includes(name)) continue;
    if (include === undefined || include.includes(name)) chosen.push(i);
  }
  const hidden = (include ?? []).filter((name) =>
    relation.columns.some((each) => each.name === name && !each.captured),
  );
  if (hidden.length > 0) {
    throw configError(
      mapping,
      `${hidden.join(', ')} of ${qualified(relation)} is not in the event log`,
      "Take it out of the table's `columns.exclude`, or out of the mapping's `columns.include`.",
    );
  }
  if (chosen.length === 0) {
    throw configError(
      mapping,
      `no column of ${qualified(relation)} is left to mirror`,
      'Include at least one.',
    );
  }
  return chosen;
}

/**
 * Columns (indices into the relation) that name a row in every event that changes or removes one. A nullable key is none: its
 * nulls are distinct from each other.
 */
function mirrorKey(mapping: Mapping<SqliteMapping>, relation: Relation): readonly number[] {
  const { replicaIdentity, key } = relation;
  const identity = relation.columns.flatMap(({ inIdentity }, i) => (inIdentity ? [i] : []));
  const isKey = (columns: readonly number[]): boolean =>
    columns.length > 0 && columns.every((i) => column(relation, i).captured && !column(relation, i).nullable);
  const isSent = (columns: readonly number[]): boolean =>
    replicaIdentity === 'full' ||
    replicaIdentity === 'nothing' || // the server then refuses every UPDATE and DELETE of the table
    columns.every((i) => column(relation, i).inIdentity);
  if (isKey(key) && isSent(key)) return key;
  if ((replicaIdentity === 'index' || replicaIdentity === 'default') && isKey(identity)) return identity;
  if (replicaIdentity === 'full') return [];
  const table = sqlName(relation);
  throw new TailraceError({
    code: 'E_REPLICA_IDENTITY',
    message:
      `${mapping.where}: ${mapping.id}: ${qualified(relation)} has no primary key that its events carry, ` +
      'and its replica identity is not full: a changed or deleted row cannot be found in the mirror.',
    fix: `ALTER TABLE ${table} ADD PRIMARY KEY (…);\nor, to match whole rows: ALTER TABLE ${table} REPLICA IDENTITY FULL;`,
  });
}

function search(
  mapping: Mapping<SqliteMapping>,
  relation: Relation,
  columns: readonly MirrorColumn[],
): MirrorTable['search'] {
  const asked = mapping.options.search;
  if (asked === undefined) return undefined;
  for (const name of asked.columns) {
    const found = columns.find((each) => each.name === name);
    if (found === undefined) {
      throw configError(
        mapping,
        `search names ${name}, which is not a mirrored column of ${qualified(relation)}`,
        `Mirrored are ${columns.map((each) => each.name).join(', ')}.`,
      );
    }
    if (found.storage === 'blob') {
      throw configError(
        mapping,
        `${name} is bytea, which has no words to search`,
        'Take it out of `search`.',
      );
    }
    // https://www.sqlite.org/fts5.html#fts5_table_creation_and_initialization
    if (['rank', 'rowid'].includes(foldCase(name))) {
      throw configError(
        mapping,
        `FTS5 keeps the column name ${name} for itself`,
        'Take it out of `search`, or rename the column.',
      );
    }
  }
  return { columns: asked.columns, tokenizer: asked.tokenizer };
}

function checkTableName(mapping: Mapping<SqliteMapping>, name: string): void {
  const folded = foldCase(name);
  if (
    name === '' ||
    name.includes('\0') ||
    folded.startsWith('sqlite_') ||
    folded.startsWith(RESERVED_PREFIX)
  ) {
    throw configError(
      mapping,
      `${JSON.stringify(name)} cannot be the name of a mirror table`,
      'Give another `table`; names beginning with sqlite_ and _tailrace_ are taken.',
    );
  }
}

function checkColumnNames(
  mapping: Mapping<SqliteMapping>,
  relation: Relation,
  columns: readonly MirrorColumn[],
): void {
  const seen = new Map<string, string>();
  for (const { name } of columns) {
    const folded = foldCase(name);
    const other = seen.get(folded);
    if (other !== undefined) {
      throw configError(
        mapping,
        `columns ${other} and ${name} of ${qualified(relation)} differ only in case, which SQLite does not tell apart`,
        'Exclude one of them under `columns`.',
      );
    }
    seen.set(folded, name);
    if (folded === ROWID_COLUMN) {
      throw configError(
        mapping,
        `the column name ${name} is taken by the mirror itself`,
        'Exclude or rename it.',
      );
    }
  }
}

function configError(mapping: Mapping, finding: string, fix: string): TailraceError {
  return new TailraceError({
    code: 'E_SINK_CONFIG',
    message: `${mapping.where}: ${mapping.id}: ${finding}.`,
    fix,
  });
}

function column(relation: Relation, i: number): Relation['columns'][number] {
  const found = relation.columns[i];
  if (found === undefined) throw new RangeError(`Column ${i} of ${relation.columns.length}`);
  return found;
}

function qualified({ schema, table }: Relation): string {
  return `${schema}.${table}`;
}

function sqlName({ schema, table }: Relation): string {
  return [schema, table].map((name) => `"${name.replaceAll('"', '""')}"`).join('.');
}
