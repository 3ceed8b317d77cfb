import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { type ChangeEvent, ChangeFold } from '../../examples/demo/change-fold.ts';
import { parseOptions } from '../../examples/demo/options.ts';
import { isSuccess, type Report, renderReport } from '../../examples/demo/report.ts';
import { type Frame, renderFrame } from '../../examples/demo/screen.ts';
import { canonicalRow, compareRows, TABLES, textRow } from '../../examples/demo/shop-tables.ts';
import { isClean } from '../../examples/demo/verdict.ts';

const [customers] = TABLES.filter(({ name }) => name === 'customers');
const [lines] = TABLES.filter(({ name }) => name === 'order_lines');
if (customers === undefined || lines === undefined) throw new Error('The shop has other tables now.');

function change(op: string, seq: number, row: Record<string, unknown>): ChangeEvent {
  const source = { table: 'order_lines', ts_ms: 0, commit_lsn: 100, seq };
  return op === 'd' ? { op, source, before: row, after: null } : { op, source, before: null, after: row };
}

const line = { order_id: 1, line_no: 1, product_id: 7, quantity: 2, unit_price: '9.90' };

describe('the fold of a change stream', () => {
  test('is the tables', () => {
    const fold = new ChangeFold();
    fold.add(change('c', 1, line));
    fold.add(change('c', 2, { ...line, line_no: 2 }));
    fold.add(change('u', 3, { ...line, quantity: 3 }));
    fold.add(change('d', 4, { order_id: 1, line_no: 2, product_id: null }));
    expect([...fold.rows(lines)]).toEqual([['1/1', canonicalRow(lines, { ...line, quantity: 3 })]]);
    expect(fold).toMatchObject({ events: 4, repeated: 0, contradictions: 0 });
  });

  test('sees what comes again, comes too late or has no beginning', () => {
    const fold = new ChangeFold();
    fold.add(change('c', 1, line));
    fold.add(change('c', 1, line));
    expect(fold.repeated).toBe(1);
    fold.add(change('u', 3, line));
    fold.add(change('u', 2, line));
    expect(fold.repeated).toBe(2);
    fold.add(change('u', 4, { ...line, line_no: 9 }));
    expect(fold.contradictions).toBe(1);
    fold.add(change('c', 5, line));
    expect(fold.contradictions).toBe(2);
  });
});

describe('rows', () => {
  const row = {
    id: '9007199254740993',
    name: 'Léa',
    email: 'a@example.com',
    city: 'Lyon',
    preferences: '{"b": 1, "a": {"d": [1, 2], "c": null}}',
    joined_at: '2026-11-21T03:41:56.090000Z',
  };

  test('are equal in every form that a sink may write', () => {
    const asRead = canonicalRow(customers, {
      ...row,
      preferences: { a: { c: null, d: [1, 2] }, b: 1 },
      joined_at: '2026-11-21T03:41:56.09Z',
    });
    expect(asRead).toBe(canonicalRow(customers, row));
    expect(canonicalRow(customers, { ...row, id: 1 })).toBe(canonicalRow(customers, { ...row, id: '1' }));
    expect(textRow(customers, { ...row, id: 9007199254740993n })).toBe(textRow(customers, row));
  });

  test.each([
    { name: 'Lea' },
    { preferences: '{"b": 1}' },
    { joined_at: '2026-11-21T03:41:56.090001Z' },
    { city: null },
  ])('differ by %o', (other) => {
    expect(canonicalRow(customers, { ...row, ...other })).not.toBe(canonicalRow(customers, row));
  });

  test('are counted missing, surplus or different', () => {
    const wanted = new Map([
      ['1', 'a'],
      ['2', 'b'],
      ['3', 'c'],
    ]);
    const found = new Map([
      ['2', 'b'],
      ['3', 'x'],
      ['4', 'd'],
      ['5', 'e'],
    ]);
    expect(compareRows(wanted, found)).toEqual({ missing: 1, surplus: 2, different: 1 });
    expect(compareRows(wanted, wanted)).toEqual({ missing: 0, surplus: 0, different: 0 });
  });
});

describe('the verdict', () => {
  const equal = { missing: 0, surplus: 0, different: 0 };
  const verdict = (difference = equal) => ({
    title: 'SQLite index',
    differences: new Map(TABLES.map(({ name }) => [name, name === 'orders' ? difference : equal])),
  });
  const report: Report = {
    verdicts: [verdict()],
    sourceRows: new Map(TABLES.map(({ name }) => [name, 1234])),
    transactions: 5000,
    rolledBack: 12,
    kills: 1,
    exit: 'exit code 0',
    searches: [],
    dir: '/tmp/x',
    full: false,
  };

  test('needs every row, every event once, and an end in order', () => {
    expect(isSuccess(report)).toBe(true);
    expect(isSuccess({ ...report, exit: 'exit code 8' })).toBe(false);
    expect(isSuccess({ ...report, verdicts: [verdict({ ...equal, missing: 1 })] })).toBe(false);
    const stream = { events: 10, repeated: 0, contradictions: 0 };
    expect(isClean({ ...verdict(), stream })).toBe(true);
    expect(isClean({ ...verdict(), stream: { ...stream, repeated: 1 } })).toBe(false);
    expect(isClean({ ...verdict(), stream: { ...stream, contradictions: 1 } })).toBe(false);
    expect(isClean({ ...verdict(), stream: { ...stream, events: 0 } })).toBe(false);
  });

  test('names what differs, and the log', () => {
    const text = renderReport({ ...report, verdicts: [verdict({ ...equal, missing: 3 })] }).join('\n');
    expect(text).toContain('SQLite index, orders: 3 missing, 0 surplus, 0 different');
    expect(text).toContain('/tmp/x/tailrace.log');
  });

  test.each([1, 4])('fits a terminal of 80 columns, with %i places', (places) => {
    const titles = ['SQLite index', 'History', 'Elasticsearch', 'Kafka'].slice(0, places);
    const stream = { events: 1_234_567, repeated: 0, contradictions: 0 };
    const verdicts = titles.map((title) => ({ ...verdict(), title, stream }));
    const text = renderReport({ ...report, verdicts, full: places > 1 });
    expect(Math.max(...text.map(width))).toBeLessThanOrEqual(80);
  });
});

test('a frame fits a terminal of 80 columns', () => {
  const counts = new Map(TABLES.map(({ name }) => [name, 1_234_567]));
  const frame: Frame = {
    elapsedSeconds: 12.3,
    totalSeconds: 20,
    state: 'restarting',
    eventsPerSecond: 12_345.6,
    events: 1_234_567,
    lagMs: 12_345,
    transactions: 1_234_567,
    rolledBack: 3,
    tables: TABLES.map(({ name }) => name),
    source: counts,
    columns: ['SQLite index', 'Elasticsearch', 'Kafka records'].map((title) => ({
      title,
      counts,
      mirrors: true,
    })),
    lastEvents: ['x'.repeat(500)],
    note: 'y'.repeat(500),
  };
  expect(Math.max(...renderFrame(frame, 80).map(width))).toBeLessThanOrEqual(80);
});

function width(line: string): number {
  return Math.max(
    ...stripVTControlCharacters(line)
      .split('\n')
      .map((part) => part.length),
  );
}

test('options', () => {
  expect(parseOptions([])).toEqual({ full: false, seconds: 20 });
  expect(parseOptions(['--full', '--seconds', '6'])).toEqual({ full: true, seconds: 6 });
  for (const args of [['--help'], ['--seconds', 'x'], ['--seconds', '0'], ['more'], ['--nothing']])
    expect(parseOptions(args)).toBeUndefined();
});
