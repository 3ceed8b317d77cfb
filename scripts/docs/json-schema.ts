/** The part of JSON Schema that the configuration's schema uses. */
export interface Schema {
  readonly title?: string;
  readonly description?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

export function alternatives(schema: Schema): readonly Schema[] {
  return schema.anyOf ?? schema.oneOf ?? [schema];
}

/** The block of keys an option may be, if it may be one. */
export function blockOf(schema: Schema): Schema | undefined {
  return alternatives(schema).find((alternative) => alternative.properties !== undefined);
}

/** What the values of a map look like. */
export function valuesOf(schema: Schema | undefined): Schema | undefined {
  const below = schema?.additionalProperties;
  return typeof below === 'object' ? below : undefined;
}
