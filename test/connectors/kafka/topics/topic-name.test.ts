import { describe, expect, test } from 'vitest';
import { TopicNames, topicTemplateProblem } from '../../../../connectors/kafka/topics/topic-name.ts';
import type { Relation } from '../../../../src/events/relation.ts';
import { relation } from '../../batch-builder.ts';

const DEFAULT = '{pipeline}.{schema}.{table}';
const of = (schema: string, table: string): Relation => relation({ schema, table, columns: {} });
const names = (): TopicNames => new TopicNames({ pipeline: 'shop', database: 'shop_db' });

describe('topic names', () => {
  test('are made of the parts of the template', () => {
    const table = of('public', 'orders');
    expect(names().nameFor(DEFAULT, table, 'x')).toBe('shop.public.orders');
    expect(names().nameFor('cdc-{database}-{table}', table, 'x')).toBe('cdc-shop_db-orders');
    expect(names().nameFor('all', table, 'x')).toBe('all');
  });

  test('lose what a topic name cannot have, one underscore per UTF-16 unit, as in Debezium', () => {
    const topicOf = (table: string): string => names().nameFor('{table}', of('s', table), 'x');
    expect(topicOf('Bestellung ä/€')).toBe('Bestellung____');
    expect(topicOf('a😀b')).toBe('a__b');
    expect(topicOf('A.b-c_9')).toBe('A.b-c_9');
  });

  test.each([
    ['two dots that stand elsewhere', of('a.b', 'c'), of('a', 'b.c')],
    ['characters that become underscores', of('s', 'a b'), of('s', 'a/b')],
  ])('%s: two tables into one topic by accident are refused', (_, first, second) => {
    const all = names();
    all.nameFor(DEFAULT, first, 'x');
    expect(() => all.nameFor(DEFAULT, second, 'tailrace.yaml:4:2')).toThrowError(
      expect.objectContaining({
        code: 'E_SINK_CONFIG',
        message: expect.stringContaining(
          `${first.schema}.${first.table} and ${second.schema}.${second.table}`,
        ),
      }),
    );
  });

  test('a topic shared on purpose is fine: a fixed name, or a template without what differs', () => {
    const all = names();
    expect(all.nameFor('all', of('a', 'x'), 'x')).toBe('all');
    expect(all.nameFor('all', of('a', 'y'), 'x')).toBe('all');
    expect(all.nameFor('{table}', of('tenant1', 'orders'), 'x')).toBe('orders');
    expect(all.nameFor('{table}', of('tenant2', 'orders'), 'x')).toBe('orders');
    expect(all.nameFor('orders', of('old', 'purchases'), 'x')).toBe('orders');
  });

  test('the same table again, under a new relation version, is itself', () => {
    const all = names();
    const table = of('public', 'orders');
    expect(all.nameFor(DEFAULT, table, 'x')).toBe(all.nameFor(DEFAULT, of('public', 'orders'), 'x'));
  });

  test.each([
    ['too long', 'x'.repeat(250)],
    ['a dot', '.'],
    ['two dots', '..'],
  ])('%s is refused', (_, template) => {
    expect(() => names().nameFor(template, of('s', 't'), 'here')).toThrowError(
      expect.objectContaining({ code: 'E_SINK_CONFIG' }),
    );
  });

  test.each([
    ['{schema}.{tabel}', '{tabel}'],
    ['shop/{table}', 'letters, digits'],
    ['shop.{table', 'unpaired'],
    ['', undefined],
    [DEFAULT, undefined],
  ])('template %s', (template, problem) => {
    if (problem === undefined) expect(topicTemplateProblem(template)).toBeUndefined();
    else expect(topicTemplateProblem(template)).toContain(problem);
  });
});
