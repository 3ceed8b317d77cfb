import { expect, test } from 'vitest';
import {
  columnField,
  type FieldDefinition,
  type ValueFamily,
} from '../../../../connectors/elasticsearch/mapping/column-field.ts';
import { fieldConflict } from '../../../../connectors/elasticsearch/mapping/compatibility.ts';
import { columnType, numericType } from '../../column-types.ts';

const wanted: FieldDefinition = { type: 'keyword' };

function conflict(family: ValueFamily, existing: FieldDefinition): string | undefined {
  return fieldConflict({ field: 'f', family, existing, wanted, explicit: false })?.has;
}

test.each([
  ['int4', { type: 'long' }, undefined],
  ['int4', { type: 'short' }, 'short'],
  ['int8', { type: 'integer' }, 'integer'],
  ['int8', { type: 'keyword' }, undefined],
  ['numeric', { type: 'scaled_float', scaling_factor: 100 }, undefined],
  ['numeric', { type: 'long' }, 'long'],
  ['text', { type: 'keyword' }, undefined],
  ['text', { type: 'long' }, 'long'],
  ['text', { properties: {} }, 'object'],
  ['json', { properties: {} }, undefined],
  ['json', { type: 'flattened' }, undefined],
  ['json', { type: 'keyword' }, 'keyword'],
  ['timestamp', { type: 'date' }, undefined],
  ['timestamp', { type: 'date', format: 'strict_date_optional_time||epoch_millis' }, undefined],
  ['timestamp', { type: 'date_nanos' }, undefined],
  ['timestamp', { type: 'date', format: 'yyyy-MM-dd' }, 'date with format yyyy-MM-dd'],
  ['timestamp', { type: 'date', format: 'yyyy-MM-dd', ignore_malformed: true }, undefined],
  ['boolean', { type: 'boolean' }, undefined],
  ['ip', { type: 'ip' }, undefined],
  ['binary', { type: 'long' }, 'long'],
] as const)('%s into %j', (family, existing, has) => {
  expect(conflict(family, existing)).toBe(has);
});

test("the configuration's own definition is met exactly", () => {
  const input = { field: 'f', family: 'text', wanted: { type: 'keyword' }, explicit: true } as const;
  expect(fieldConflict({ ...input, existing: { type: 'keyword' } })).toBeUndefined();
  expect(fieldConflict({ ...input, existing: { type: 'text' } })).toEqual({
    field: 'f',
    has: 'text',
    needs: 'keyword',
  });
});

test('every derived field fits its own family', () => {
  const names = 'bool int2 int4 int8 oid float4 float8 numeric text varchar uuid date timestamp timestamptz';
  for (const name of [
    ...names.split(' '),
    'time',
    'interval',
    'json',
    'jsonb',
    'bytea',
    'inet',
    'point',
    '_int4',
  ]) {
    const { family, definition } = columnField(columnType(name));
    expect(
      fieldConflict({ field: name, family, existing: definition, wanted: definition, explicit: false }),
    ).toBe(undefined);
  }
});

test('numerics beyond a double can still be found exactly', () => {
  expect(columnField(numericType(15, 2)).definition).not.toHaveProperty('fields');
  expect(columnField(numericType(16, 2)).definition).toHaveProperty('fields.keyword');
  expect(columnField(columnType('numeric')).definition).toHaveProperty('fields.keyword');
});
