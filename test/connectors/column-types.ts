import type { ColumnType } from '../../src/events/relation.ts';

/** OIDs of pg_type.dat: base type and its array type. https://www.postgresql.org/docs/current/catalog-pg-type.html */
const builtIn: Readonly<Record<string, readonly [oid: number, arrayOid: number]>> = {
  bool: [16, 1000],
  bytea: [17, 1001],
  char: [18, 1002],
  name: [19, 1003],
  int8: [20, 1016],
  int2: [21, 1005],
  int4: [23, 1007],
  text: [25, 1009],
  oid: [26, 1028],
  json: [114, 199],
  xml: [142, 143],
  point: [600, 1017],
  float4: [700, 1021],
  float8: [701, 1022],
  money: [790, 791],
  inet: [869, 1041],
  bpchar: [1042, 1014],
  varchar: [1043, 1015],
  date: [1082, 1182],
  time: [1083, 1183],
  timestamp: [1114, 1115],
  timestamptz: [1184, 1185],
  interval: [1186, 1187],
  timetz: [1266, 1270],
  bit: [1560, 1561],
  varbit: [1562, 1563],
  numeric: [1700, 1231],
  uuid: [2950, 2951],
  jsonb: [3802, 3807],
  int4range: [3904, 3905],
};

/** A built-in type by its typname; `_int4` is the array of int4. */
export function columnType(name: string, typmod = -1): ColumnType {
  const isArray = name.startsWith('_');
  const element = isArray ? name.slice(1) : name;
  const oids = builtIn[element];
  if (oids === undefined) throw new Error(`No OID is known here for type ${name}`);
  const base: ColumnType = {
    oid: oids[0],
    name: element,
    schema: 'pg_catalog',
    kind: element.endsWith('range') ? 'range' : 'base',
    typmod,
  };
  if (!isArray) return base;
  return {
    oid: oids[1],
    name,
    schema: 'pg_catalog',
    kind: 'array',
    typmod,
    element: base,
    delimiter: ',',
  };
}

/** numeric(precision, scale). */
export function numericType(precision: number, scale: number): ColumnType {
  return columnType('numeric', ((precision << 16) | scale) + 4);
}

export function enumType(name: string, labels: readonly string[], oid = 100_001): ColumnType {
  return { oid, name, schema: 'public', kind: 'enum', typmod: -1, labels };
}

export function domainType(name: string, base: ColumnType, oid = 100_002): ColumnType {
  return { oid, name, schema: 'public', kind: 'domain', typmod: -1, base };
}
