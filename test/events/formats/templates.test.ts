import { describe, expect, test } from 'vitest';
import { compileDestinationTemplate, compileTextTemplate } from '../../../src/events/formats/templates.ts';
import { eventOf, relationOf, TupleBuilder, UNCHANGED } from '../tuple-builder.ts';

const build = new TupleBuilder();
const orders = relationOf({
  id: { type: 'int8', key: true },
  'first name': {},
  card: { captured: false },
});

describe('text per row', () => {
  const render = (template: string, values: (string | null | typeof UNCHANGED)[]): string =>
    compileTextTemplate(template, orders).render(
      eventOf({ op: 'update', relation: orders, body: build.update(undefined, values) }),
      'after',
    );

  test('columns, literal text, literal braces', () => {
    expect(render('{id}', ['7', 'Zoë', null])).toBe('7');
    expect(render('orders-{id}/{first name}-{id}', ['7', 'Zoë', null])).toBe('orders-7/Zoë-7');
    expect(render('{{{id}}}', ['7', '', null])).toBe('{7}');
    expect(render('fixed', ['7', '', null])).toBe('fixed');
    expect(render('{first name}', ['7', '', null])).toBe('');
  });

  test('a null or unchanged column is refused, not rendered as a word', () => {
    const refused = expect.objectContaining({ code: 'E_UNSUPPORTED_ROW' });
    expect(() => render('{first name}', ['7', null, null])).toThrow(refused);
    expect(() => render('{first name}', ['7', UNCHANGED, null])).toThrow(refused);
    const event = eventOf({
      op: 'delete',
      relation: orders,
      body: build.delete({ tag: 'K', values: ['7', null, null] }),
    });
    expect(compileTextTemplate('{id}', orders).render(event, 'before')).toBe('7');
    expect(() => compileTextTemplate('{first name}', orders).render(event, 'before')).toThrow(refused);
  });

  test('an unknown or hidden column is E_CONFIG and lists what there is', () => {
    for (const template of ['{nope}', '{card}', '{}', '{ID}']) {
      expect(() => compileTextTemplate(template, orders)).toThrow(
        expect.objectContaining({ code: 'E_CONFIG', fix: 'Available: {id}, {first name}.' }),
      );
    }
  });

  test('unpaired braces', () => {
    for (const template of ['{id', 'id}', '{{id}']) {
      expect(() => compileTextTemplate(template, orders), template).toThrow(
        expect.objectContaining({ code: 'E_CONFIG' }),
      );
    }
  });
});

test('destination per table', () => {
  const values = { pipeline: 'shop', database: 'db' };
  expect(compileDestinationTemplate('{pipeline}.{schema}.{table}-{database}', values)(orders)).toBe(
    'shop.public.orders-db',
  );
  expect(() => compileDestinationTemplate('{id}', values)).toThrow(
    expect.objectContaining({
      code: 'E_CONFIG',
      fix: 'Available: {schema}, {table}, {pipeline}, {database}.',
    }),
  );
});
