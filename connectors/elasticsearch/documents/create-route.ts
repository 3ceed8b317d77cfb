import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { EventView, Side } from '../../../src/events/change-event.ts';
import { createDocumentEncoder } from '../../../src/events/formats/record-format.ts';
import { missingColumn } from '../../../src/events/formats/row-error.ts';
import { compileDestinationTemplate, compileTextTemplate } from '../../../src/events/formats/templates.ts';
import type { Relation } from '../../../src/events/relation.ts';
import { fittingId, idOfKey } from './document-id.ts';
import { indexNameProblem } from './index-name.ts';
import type { ElasticsearchRoute } from './route.ts';

/** Types whose text is ASCII without anything that JSON escapes. */
const PLAIN_TYPES: ReadonlySet<string> = new Set(['int2', 'int4', 'int8', 'oid', 'uuid']);

/** The index of a relation. Throws E_SINK_CONFIG when the name cannot be an index's. */
export function indexNameFor(
  template: string,
  relation: Relation,
  values: { readonly pipeline: string; readonly database: string },
): string {
  const lowered = {
    ...relation,
    schema: relation.schema.toLowerCase(),
    table: relation.table.toLowerCase(),
  };
  const name = compileDestinationTemplate(template, {
    pipeline: values.pipeline.toLowerCase(),
    database: values.database.toLowerCase(),
  })(lowered);
  const problem = indexNameProblem(name);
  if (problem === undefined) return name;
  throw new TailraceError({
    code: 'E_SINK_CONFIG',
    message: `${JSON.stringify(name)} for ${relation.schema}.${relation.table} cannot be the name of an index: ${problem}.`,
    fix: `Name the index in the mapping: { sink: ..., index: ${relation.table.toLowerCase().replace(/[^a-z0-9]+/g, '-')} }.`,
  });
}

export interface RouteInput {
  readonly index: string;
  readonly relation: Relation;
  /** The mapping's `id`. */
  readonly idTemplate: string | undefined;
}

/** Throws E_SINK_CONFIG for a table without key, E_REPLICA_IDENTITY when updates and deletes would not carry the id. */
export function createRoute({ index, relation, idTemplate }: RouteInput): ElasticsearchRoute {
  const id = idTemplate === undefined ? keyId(relation) : templateId(idTemplate, relation);
  requireIdentity(relation, id.columns);
  const { columns } = id;
  return {
    destination: index,
    relation,
    plainIds:
      idTemplate === undefined && columns.every((i) => PLAIN_TYPES.has(relation.columns[i]?.type.name ?? '')),
    encoder: createDocumentEncoder(relation),
    idOf: (event, side) => id.idOf(event, side),
    parts(event) {
      if (event.op === 'message') return 0;
      return event.op === 'update' && event.beforeImage !== 'none' && moved(event, columns) ? 2 : 1;
    },
  };
}

interface DocumentId {
  readonly columns: readonly number[];
  idOf(event: EventView, side: Side): string;
}

function keyId(relation: Relation): DocumentId {
  const { key } = relation;
  if (key.length === 0) {
    throw new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `${relation.schema}.${relation.table} has no primary key and no unique index on NOT NULL columns: its rows have no document id.`,
      fix:
        `ALTER TABLE ${quoted(relation)} ADD PRIMARY KEY (...);\n` +
        'or give the mapping an id made of columns that are unique together: { id: "{a}-{b}" }, with REPLICA IDENTITY FULL.',
    });
  }
  const single = key.length === 1 ? (key[0] as number) : -1;
  return {
    columns: key,
    idOf: (event, side) =>
      fittingId(
        single >= 0
          ? idOfKey([keyText(event, side, single)])
          : idOfKey(key.map((column) => keyText(event, side, column))),
      ),
  };
}

const WHY = {
  null: 'is null',
  unchanged: 'is an unchanged TOAST value that was not sent',
  'not-captured': 'was not sent by the server',
  absent: 'is not in the event',
};

function keyText(event: EventView, side: Side, column: number): string {
  const state = event.column(side, column);
  if (state === 'value') return event.text();
  throw missingColumn(event, column, 'the document id', WHY[state]);
}

function templateId(template: string, relation: Relation): DocumentId {
  const compiled = compileTextTemplate(template, relation);
  return {
    columns: compiled.columns,
    idOf(event, side) {
      const id = compiled.render(event, side);
      if (id !== '') return fittingId(id);
      throw new TailraceError({
        code: 'E_UNSUPPORTED_ROW',
        message: `The document id of a row of ${relation.schema}.${relation.table} is empty (template ${JSON.stringify(template)}).`,
      });
    },
  };
}

/** Old rows must carry the columns of the id, or their documents could not be found. */
function requireIdentity(relation: Relation, columns: readonly number[]): void {
  const { replicaIdentity } = relation;
  const lacking =
    replicaIdentity === 'nothing' ? columns : columns.filter((i) => relation.columns[i]?.inIdentity !== true);
  if (lacking.length === 0) return;
  const names = lacking.map((i) => relation.columns[i]?.name).join(', ');
  throw new TailraceError({
    code: 'E_REPLICA_IDENTITY',
    message:
      `Document ids of ${relation.schema}.${relation.table} are made of ${names}, which is not part of its replica identity (${replicaIdentity}): ` +
      'updates and deletes would not say which document they mean.',
    fix: `ALTER TABLE ${quoted(relation)} REPLICA IDENTITY FULL;`,
  });
}

/** The update moved the row to another id. Compares bytes: no text is made for rows that stay. */
function moved(event: EventView, columns: readonly number[]): boolean {
  for (const column of columns) {
    if (event.column('before', column) !== 'value') continue;
    const { start, end } = event;
    if (event.column('after', column) !== 'value') continue;
    const length = end - start;
    if (event.end - event.start !== length) return true;
    if (event.bytes.compare(event.bytes, start, end, event.start, event.end) !== 0) return true;
  }
  return false;
}

function quoted({ schema, table }: Relation): string {
  return `"${schema.replaceAll('"', '""')}"."${table.replaceAll('"', '""')}"`;
}
