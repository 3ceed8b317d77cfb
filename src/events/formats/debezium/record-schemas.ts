import type { Relation, RelationColumn } from '../../relation.ts';
import type { RecordContext } from '../contract.ts';
import { type ConnectField, type ConnectSchema, optional } from './connect-schema.ts';
import type { ConnectType } from './connect-type.ts';
import type { DebeziumSettings } from './options.ts';
import { SOURCE_SCHEMA } from './source-block.ts';
import { debeziumTopicName } from './topic-name.ts';

const STRING: ConnectSchema = { type: 'string' };
const INT64: ConnectSchema = { type: 'int64' };

const TRANSACTION_SCHEMA: ConnectSchema = {
  type: 'struct',
  fields: [
    { field: 'id', schema: STRING },
    { field: 'total_order', schema: INT64 },
    { field: 'data_collection_order', schema: INT64 },
  ],
  optional: true,
  name: 'event.block',
  version: 1,
};

export interface TypedColumn {
  readonly column: RelationColumn;
  readonly type: ConnectType;
}

export function keySchema(
  relation: Relation,
  context: RecordContext,
  columns: readonly TypedColumn[],
): ConnectSchema {
  return {
    type: 'struct',
    fields: columns.map(({ column, type }) => field(column, type, column.nullable)),
    name: `${debeziumTopicName(context.topicPrefix, relation)}.Key`,
  };
}

/**
 * The envelope. Column defaults are not part of it: a consumer's JsonConverter would read a NULL as the default. Where an old image holds
 * the key only, the other columns of `before` are null and therefore optional there.
 */
export function envelopeSchema(
  relation: Relation,
  context: RecordContext,
  columns: readonly TypedColumn[],
): ConnectSchema {
  const prefix = debeziumTopicName(context.topicPrefix, relation);
  const row = (isOptional: (column: RelationColumn) => boolean): ConnectSchema => ({
    type: 'struct',
    fields: columns.map(({ column, type }) => field(column, type, isOptional(column))),
    optional: true,
    name: `${prefix}.Value`,
  });
  const wholeImage = relation.replicaIdentity === 'full';
  return {
    type: 'struct',
    fields: [
      {
        field: 'before',
        schema: row((column) => column.nullable || (!wholeImage && !column.inIdentity)),
      },
      { field: 'after', schema: row((column) => column.nullable) },
      { field: 'source', schema: SOURCE_SCHEMA },
      { field: 'transaction', schema: TRANSACTION_SCHEMA },
      { field: 'op', schema: STRING },
      { field: 'ts_ms', schema: optional(INT64) },
      { field: 'ts_us', schema: optional(INT64) },
      { field: 'ts_ns', schema: optional(INT64) },
    ],
    name: `${prefix}.Envelope`,
    version: 2,
  };
}

export const MESSAGE_KEY_SCHEMA: ConnectSchema = {
  type: 'struct',
  fields: [{ field: 'prefix', schema: optional(STRING) }],
  name: 'io.debezium.connector.postgresql.MessageKey',
  version: 1,
};

export function messageSchema(settings: DebeziumSettings): ConnectSchema {
  const content: ConnectSchema = {
    type: settings.binary_handling_mode === 'bytes' ? 'bytes' : 'string',
    optional: true,
  };
  return {
    type: 'struct',
    fields: [
      { field: 'op', schema: STRING },
      { field: 'ts_ms', schema: optional(INT64) },
      { field: 'source', schema: SOURCE_SCHEMA },
      { field: 'transaction', schema: TRANSACTION_SCHEMA },
      {
        field: 'message',
        schema: {
          type: 'struct',
          fields: [
            { field: 'prefix', schema: optional(STRING) },
            { field: 'content', schema: content },
          ],
          name: 'io.debezium.connector.postgresql.Message',
          version: 1,
        },
      },
    ],
    name: 'io.debezium.connector.postgresql.MessageValue',
    version: 1,
  };
}

function field(column: RelationColumn, type: ConnectType, isOptional: boolean): ConnectField {
  return { field: column.name, schema: isOptional ? optional(type.schema) : type.schema };
}
