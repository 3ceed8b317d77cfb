import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { Relation } from '../../../src/events/relation.ts';
import { columnField, type FieldDefinition, type ValueFamily } from './column-field.ts';
import { columnNameProblem } from './column-names.ts';

/** The field of one captured column. */
export interface TableField {
  readonly name: string;
  readonly family: ValueFamily;
  readonly definition: FieldDefinition;
  /** The definition is the configuration's. */
  readonly explicit: boolean;
}

/**
 * The fields of a table's documents. `overrides`: the mapping's own definitions, by column.
 * Throws E_SINK_CONFIG for columns that cannot be fields and for overrides of columns that are not there.
 */
export function tableFields(
  relation: Relation,
  overrides: Readonly<Record<string, FieldDefinition>>,
): readonly TableField[] {
  const columns = relation.columns.filter(({ captured }) => captured);
  const table = `${relation.schema}.${relation.table}`;
  const problem = columnNameProblem(columns.map(({ name }) => name));
  if (problem !== undefined) {
    throw new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `Rows of ${table} cannot be documents: ${problem}.`,
      fix: 'Leave the column out: columns: { exclude: [...] }; or rename it.',
    });
  }
  const unknown = Object.keys(overrides).find((name) => !columns.some((column) => column.name === name));
  if (unknown !== undefined) {
    throw new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `The mapping of ${table} defines a field for ${JSON.stringify(unknown)}, which is no captured column of it.`,
      fix: `Columns: ${columns.map(({ name }) => name).join(', ')}.`,
    });
  }
  return columns.map(({ name, type }) => {
    const { family, definition } = columnField(type);
    const override = Object.hasOwn(overrides, name) ? overrides[name] : undefined;
    return { name, family, definition: override ?? definition, explicit: override !== undefined };
  });
}

/** `properties` of a mapping. A dot in a name leads into an object, as it does in documents. */
export function propertiesOf(fields: readonly TableField[]): Record<string, FieldDefinition> {
  return Object.fromEntries(fields.map(({ name, definition }) => [name, definition]));
}

/** The definition of a field in a mapping as the server shows it; undefined when there is none. */
export function existingField(mapping: FieldDefinition, name: string): FieldDefinition | undefined {
  let at: FieldDefinition | undefined = mapping;
  for (const step of name.split('.')) {
    const properties: unknown = at?.['properties'];
    if (typeof properties !== 'object' || properties === null || !Object.hasOwn(properties, step)) {
      return undefined;
    }
    at = (properties as Record<string, FieldDefinition>)[step];
  }
  return at;
}

/** How many fields count against index.mapping.total_fields.limit: objects and subfields too. */
export function countFields(definition: FieldDefinition): number {
  let count = 0;
  for (const key of ['properties', 'fields']) {
    const children: unknown = definition[key];
    if (typeof children !== 'object' || children === null) continue;
    for (const child of Object.values(children) as FieldDefinition[]) count += 1 + countFields(child);
  }
  return count;
}
