import { expect, test } from 'vitest';
import { createRecordEncoder, type FormatOptions } from '../../../src/events/formats/record-format.ts';
import type { ColumnType } from '../../../src/events/relation.ts';
import { arrayOf, baseType, eventOf, relationOf, TupleBuilder } from '../tuple-builder.ts';
import { CONTEXT, recordsOf } from './records.ts';

/**
 * Keys decide partitions, compaction and document ids: a change of one byte splits a row's history in two. Whoever changes these files
 * changes what existing topics mean.
 */
const KEYS: readonly (readonly [type: ColumnType | string, text: string])[] = [
  ['bool', 't'],
  ['int2', '-1'],
  ['int4', '2147483647'],
  ['int8', '9223372036854775807'],
  ['oid', '4294967295'],
  ['float4', '1.1'],
  ['float8', '1e+21'],
  ['text', 'Zoë "x"\\ \t\u0001 😀/'],
  ['varchar', ''],
  ['bpchar', 'ab  '],
  ['citext', 'AbC'],
  ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  [baseType('numeric', { typmod: ((20 << 16) | 0) + 4 }), '12345678901234567890'],
  [baseType('numeric', { typmod: ((6 << 16) | 2) + 4 }), '-1.10'],
  ['numeric', '100.50'],
  ['money', '-$1,234.11'],
  ['date', '2016-11-04'],
  ['time', '13:51:30.5'],
  ['timetz', '13:51:30+02'],
  ['timestamp', '2016-11-04 13:51:30.123456'],
  [baseType('timestamp', { typmod: 3 }), '1936-10-25 22:10:12.608'],
  ['timestamptz', '2016-11-04 13:51:30.1+00'],
  ['timestamptz', 'infinity'],
  ['interval', '1 mon -1 days'],
  ['bytea', '\\xdeadbeef'],
  [baseType('bit', { typmod: 12 }), '000000000001'],
  ['inet', '::1/128'],
  ['jsonb', '{"a": 1}'],
  [arrayOf(baseType('int4')), '{1,NULL}'],
  [baseType('mood', { kind: 'enum', labels: ['sad', 'ok'] }), 'ok'],
  [baseType('int4range', { kind: 'range' }), '[1,5)'],
  [baseType('pair', { kind: 'composite' }), '(1,a)'],
];

const build = new TupleBuilder();

function keyLines(options: FormatOptions): string {
  const lines = KEYS.map(([spec, text]) => {
    const type = typeof spec === 'string' ? baseType(spec) : spec;
    const relation = relationOf({ 'the "key"': { type, key: true } });
    const event = eventOf({ op: 'insert', relation, body: build.insert([text]) });
    const [record] = recordsOf(createRecordEncoder(options, relation, CONTEXT), event);
    return `${type.name}${type.typmod < 0 ? '' : ` ${type.typmod}`}\t${record?.key}`;
  });
  const pair = relationOf({ b: { type: 'int4', key: true }, x: {}, a: { type: 'text', key: true } });
  const event = eventOf({ op: 'insert', relation: pair, body: build.insert(['1', null, 'z']) });
  for (const relation of [pair, { ...pair, key: [2, 0] }]) {
    const [record] = recordsOf(createRecordEncoder(options, relation, CONTEXT), event);
    lines.push(`key columns ${relation.key.join(',')}\t${record?.key}`);
  }
  return `${lines.join('\n')}\n`;
}

test.each<[string, FormatOptions]>([
  ['debezium-keys.txt', { format: 'debezium' }],
  ['debezium-keys-with-schemas.txt', { format: 'debezium', schemas_enable: true }],
  ['plain-keys.txt', { format: 'plain' }],
])('%s', async (file, options) => {
  await expect(keyLines(options)).toMatchFileSnapshot(`../golden/${file}`);
});
