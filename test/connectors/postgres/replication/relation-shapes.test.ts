import { expect, test } from 'vitest';
import type { RelationMessage } from '../../../../connectors/postgres/pgoutput/messages.ts';
import { RelationShapes } from '../../../../connectors/postgres/replication/relation-shapes.ts';
import type { RelationDefinition } from '../../../../src/events/relation.ts';
import { relation } from '../../batch-builder.ts';

const { version: _, ...TABLE } = relation({
  table: 't',
  oid: 5,
  columns: { id: 'int4', v: 'text' },
  key: ['id'],
});

function messageOf({ oid, schema, table, replicaIdentity, columns }: RelationDefinition): RelationMessage {
  return {
    kind: 'relation',
    oid,
    schema,
    table,
    replicaIdentity,
    columns: columns.map(({ name, type, inIdentity }) => ({
      name,
      typeOid: type.oid,
      typmod: type.typmod,
      inIdentity,
    })),
  };
}

/** As the catalog describes a table that it has not any more. */
function forgotten(definition: RelationDefinition): RelationDefinition {
  return { ...definition, columns: definition.columns.map((column) => ({ ...column, attnum: 0 })), key: [] };
}

test('the catalog is asked each time: what a Relation message does not hold may have changed', async () => {
  const answers = [TABLE, { ...TABLE, key: [] }];
  const shapes = new RelationShapes(async () => answers.shift() ?? TABLE);
  expect(await shapes.lookUp(messageOf(TABLE))).toEqual(TABLE);
  expect((await shapes.lookUp(messageOf(TABLE))).key).toEqual([]);
});

test('what the catalog knew and has forgotten since stays known, for the same message', async () => {
  const answers = [TABLE, forgotten(TABLE)];
  const shapes = new RelationShapes(async () => answers.shift() ?? forgotten(TABLE));
  await shapes.lookUp(messageOf(TABLE));
  expect(await shapes.lookUp(messageOf(TABLE))).toEqual(TABLE);
  const renamed = { ...forgotten(TABLE), table: 'u' };
  expect(await new RelationShapes(async () => renamed).lookUp(messageOf(renamed))).toEqual(renamed);
});

test('a definition with other columns than the message is an error', async () => {
  const wider = relation({ table: 't', oid: 5, columns: { id: 'int4', v: 'text', w: 'int4' }, key: ['id'] });
  const other = relation({ table: 't', oid: 5, columns: { id: 'int4', w: 'text' }, key: ['id'] });
  for (const answer of [wider, other]) {
    await expect(new RelationShapes(async () => answer).lookUp(messageOf(TABLE))).rejects.toMatchObject({
      code: 'E_INTERNAL',
    });
  }
});
