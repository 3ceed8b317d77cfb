import { jacksonBytes } from '../../values/json-string.ts';

/**
 * Kafka Connect's schema model, as its JsonConverter writes it beside the payload when schemas are enabled.
 * https://kafka.apache.org/41/javadoc/org/apache/kafka/connect/data/Schema.html
 */
export type ConnectSchema = ConnectShape & {
  readonly optional?: boolean | undefined;
  readonly name?: string | undefined;
  readonly version?: number | undefined;
  readonly doc?: string | undefined;
  readonly parameters?: Readonly<Record<string, string>> | undefined;
  readonly default?: unknown;
};

type ConnectShape =
  | {
      readonly type:
        | 'boolean'
        | 'int8'
        | 'int16'
        | 'int32'
        | 'int64'
        | 'float'
        | 'double'
        | 'string'
        | 'bytes';
    }
  | { readonly type: 'array'; readonly items: ConnectSchema }
  | { readonly type: 'map'; readonly keys: ConnectSchema; readonly values: ConnectSchema }
  | { readonly type: 'struct'; readonly fields: readonly ConnectField[] };

export type ConnectField = { readonly field: string; readonly schema: ConnectSchema };

export function optional(schema: ConnectSchema): ConnectSchema {
  return { ...schema, optional: true };
}

/** The object whose JSON is what JsonConverter writes, members in its order. */
export function schemaJson(schema: ConnectSchema, field?: string): Record<string, unknown> {
  const json: Record<string, unknown> = { type: schema.type };
  if (schema.type === 'array') json['items'] = schemaJson(schema.items);
  else if (schema.type === 'map') {
    json['keys'] = schemaJson(schema.keys);
    json['values'] = schemaJson(schema.values);
  } else if (schema.type === 'struct') {
    json['fields'] = schema.fields.map((member) => schemaJson(member.schema, member.field));
  }
  json['optional'] = schema.optional === true;
  // JSON.stringify leaves out what is undefined.
  json['name'] = schema.name;
  json['version'] = schema.version;
  json['doc'] = schema.doc;
  json['parameters'] = schema.parameters;
  json['default'] = schema.default;
  json['field'] = field;
  return json;
}

/** `{"schema":...,"payload":` as bytes: what stands before every payload; `}` follows it. */
export function schemaPrefix(schema: ConnectSchema): Buffer {
  return Buffer.concat([
    Buffer.from('{"schema":'),
    jacksonBytes(schemaJson(schema)),
    Buffer.from(',"payload":'),
  ]);
}
