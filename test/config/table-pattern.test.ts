import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatTableName, TablePattern } from '../../src/config/table-pattern.ts';

test.each([
  ['public.orders', 'public', 'orders', true],
  ['public.orders', 'public', 'Orders', false],
  ['public.orders', 'publics', 'orders', false],
  ['shop.*', 'shop', 'anything at all', true],
  ['shop.*', 'shop2', 'orders', false],
  ['*.audit', 'x', 'audit', true],
  ['*.audit', 'x', 'audits', false],
  ['shop.order_*', 'shop', 'order_', true],
  ['shop.order_*', 'shop', 'order_lines', true],
  ['shop.order_*', 'shop', 'border_lines', false],
  ['shop.*_2024_*', 'shop', 'events_2024_01', true],
  ['shop.a*', 'shop', 'a\nb', true],
  ['shop.day_?', 'shop', 'day_é', true],
  ['shop.day_?', 'shop', 'day_', false],
  ['shop.day_?', 'shop', 'day_10', false],
  ['shop."day_?"', 'shop', 'day_1', false],
  ['s.a+b$', 's', 'a+b$', true],
  ['s.a.*', 's', 'a', undefined],
  ['public."Order.Lines*"', 'public', 'Order.Lines*', true],
  ['public."Order.Lines*"', 'public', 'Order.Lines2', false],
  ['"my schema"."say ""hi"""', 'my schema', 'say "hi"', true],
  ['public.Straße', 'public', 'Straße', true],
])('%s and %s.%s', (pattern, schema, table, expected) => {
  if (expected === undefined) expect(() => TablePattern.parse(pattern)).toThrow(SyntaxError);
  else expect(TablePattern.parse(pattern).matches(schema, table)).toBe(expected);
});

test.each([
  ['orders', 'expected schema.table, such as public.orders'],
  ['a.b.c', 'with one dot'],
  ['.orders', 'a name is empty'],
  ['public.', 'a name is empty'],
  ['public.""', 'a name is empty'],
  ['public."orders', 'not closed'],
  ['public.my orders', 'unexpected " "'],
  ['public."a"b', 'unexpected "b"'],
  ['', 'a name is empty'],
])('%j is refused: %s', (pattern, message) => {
  expect(() => TablePattern.parse(pattern)).toThrow(message);
});

test('only a pattern without wildcards names one table', () => {
  expect(TablePattern.parse('public."a*"').exact).toEqual({ schema: 'public', table: 'a*' });
  expect(TablePattern.parse('public.a*').exact).toBeUndefined();
});

test('whatever a table is called, its formatted name is a pattern for it alone', () => {
  const name = fc
    .string({ minLength: 1, maxLength: 20, unit: 'binary' })
    .filter((text) => !text.includes('\0'));
  fc.assert(
    fc.property(name, name, name, (schema, table, other) => {
      const pattern = TablePattern.parse(formatTableName({ schema, table }));
      expect(pattern.exact).toEqual({ schema, table });
      expect(pattern.matches(schema, table)).toBe(true);
      expect(pattern.matches(schema, other)).toBe(other === table);
    }),
  );
});
