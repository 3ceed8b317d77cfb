import { expect, test } from 'vitest';
import {
  type ListedTable,
  requireSelection,
  selectTables,
} from '../../../../connectors/postgres/catalog/select-tables.ts';
import { rulesFor } from '../setup/rules.ts';

let oid = 20_000;

function listed(schema: string, table: string, flags: Partial<ListedTable> = {}): ListedTable {
  return { oid: oid++, schema, table, kind: 'r', persistence: 'p', rootOid: null, system: false, ...flags };
}

const root = listed('public', 'events', { kind: 'p' });
const listing = [
  root,
  listed('public', 'events_2024', { rootOid: root.oid }),
  listed('public', 'events_2025', { rootOid: root.oid }),
  listed('public', 'orders'),
  listed('public', 'Orders'),
  listed('public', 'order_view', { kind: 'v' }),
  listed('public', 'order_cache', { kind: 'm' }),
  listed('public', 'order_remote', { kind: 'f' }),
  listed('public', 'order_id_seq', { kind: 'S' }),
  listed('public', 'order_scratch', { persistence: 'u' }),
  listed('pg_temp_3', 'draft', { persistence: 't' }),
  listed('pg_catalog', 'pg_class', { system: true }),
];

function names(...patterns: string[]): string[] {
  return selectTables(rulesFor(...patterns), listing).tables.map(({ listed: { table } }) => table);
}

function problems(...patterns: string[]): string[] {
  return selectTables(rulesFor(...patterns), listing).problems.map(
    ({ level, about, fix }) => `${level}: ${about}${fix === undefined ? '' : ` | ${fix}`}`,
  );
}

test('partitions are selected with their root', () => {
  expect(names('public.*')).toEqual(['events', 'orders', 'Orders']);
  expect(names('public.events')).toEqual(['events']);
});

test('the rule that names a table goes before patterns, and the first pattern before later ones', () => {
  const rules = rulesFor('public.e*', 'public.*', 'public.orders', 'public.events*');
  const { tables } = selectTables(rules, listing);
  expect(tables.map(({ rule, listed: { table } }) => [table, rule.pattern.text])).toEqual([
    ['events', 'public.e*'],
    ['Orders', 'public.*'],
    ['orders', 'public.orders'],
  ]);
});

test.each([
  ['public.order', 'error: public.order (tailrace.yaml:1:1) does not exist | perhaps public.orders is meant'],
  ['public.nothing_like_it', 'error: public.nothing_like_it (tailrace.yaml:1:1) does not exist'],
  [
    'public.order_view',
    'error: public.order_view (tailrace.yaml:1:1) is a view: only tables can be published',
  ],
  [
    'public.order_cache',
    'error: public.order_cache (tailrace.yaml:1:1) is a materialized view: only tables can be published',
  ],
  [
    'public.order_remote',
    'error: public.order_remote (tailrace.yaml:1:1) is a foreign table: only tables can be published',
  ],
  [
    'public.order_id_seq',
    'error: public.order_id_seq (tailrace.yaml:1:1) is a sequence: only tables can be published',
  ],
  [
    'public.order_scratch',
    'error: public.order_scratch (tailrace.yaml:1:1) is unlogged: its changes are not in the WAL | ALTER TABLE "public"."order_scratch" SET LOGGED;',
  ],
  [
    'pg_temp_3.draft',
    'error: pg_temp_3.draft (tailrace.yaml:1:1) is temporary: its changes are not in the WAL',
  ],
  [
    'pg_catalog.pg_class',
    'error: pg_catalog.pg_class (tailrace.yaml:1:1) belongs to the system and cannot be published',
  ],
  [
    'public.events_2024',
    'error: public.events_2024 (tailrace.yaml:1:1) is a partition of public.events: its rows come under that name | tables: { public.events: ... }',
  ],
  [
    'public.events_*',
    'error: public.events_* (tailrace.yaml:1:1) matches partitions of public.events, whose rows come under that name, but not public.events itself | tables: { public.events: ... }',
  ],
  ['shop.*', 'warning: shop.* (tailrace.yaml:1:1) matches no table'],
])('%s', (pattern, problem) => {
  expect(problems(pattern)).toEqual([problem]);
});

test('a pattern passes over views in silence, and says which tables leave no trace in the WAL', () => {
  expect(problems('*.*')).toEqual([
    'warning: *.* (tailrace.yaml:1:1) passes over public.order_scratch, which is unlogged: its changes are not in the WAL | ALTER TABLE "public"."order_scratch" SET LOGGED;',
  ]);
});

test('everything that is missing is named at once', () => {
  const selection = selectTables(rulesFor('public.order', 'public.order_view', 'shop.*'), listing);
  expect(() => requireSelection(selection)).toThrow(
    expect.objectContaining({
      code: 'E_TABLE_MISSING',
      message: expect.stringMatching(/public\.order .*does not exist\. public\.order_view .*published\.$/),
    }),
  );
  expect(() => requireSelection(selectTables(rulesFor('public.orders', 'shop.*'), listing))).not.toThrow();
});
