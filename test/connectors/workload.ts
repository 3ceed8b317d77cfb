import fc from 'fast-check';
import type { Relation } from '../../src/events/relation.ts';
import { EventScript, type Row, relation, type TransactionScript, UNCHANGED } from './batch-builder.ts';

/** Every way a row of the source can be found again. */
export const tables = {
  /** A number as key, and a value large enough to be stored out of line. */
  keyed: relation({
    table: 'keyed',
    oid: 20_001,
    version: 101,
    key: ['id'],
    columns: { id: 'int8', name: 'text', weight: 'float8', big: 'text' },
  }),
  pair: relation({
    table: 'pair',
    oid: 20_002,
    version: 102,
    key: ['left', 'right'],
    columns: { left: 'text', right: 'numeric', name: 'text', weight: 'float8', big: 'text' },
  }),
  full: relation({
    table: 'full',
    oid: 20_003,
    version: 103,
    key: ['id'],
    replicaIdentity: 'full',
    columns: { id: 'uuid', name: 'text', weight: 'float8', big: 'text' },
  }),
  /** Rows without key: a multiset. */
  bag: relation({
    table: 'bag',
    oid: 20_004,
    version: 104,
    replicaIdentity: 'full',
    columns: { name: 'text', weight: 'float8', big: 'text' },
  }),
} as const satisfies Record<string, Relation>;

export type TableName = keyof typeof tables;
export type TextRow = Readonly<Record<string, string | null>>;

/** One step of the source, made concrete against what its tables hold at that point. */
export interface Step {
  readonly table: TableName;
  readonly kind: 'insert' | 'update' | 'rekey' | 'delete' | 'truncate';
  /** Chooses the row or the new key. */
  readonly at: number;
  readonly to: number;
  readonly values: {
    readonly name: string | null;
    readonly weight: string | null;
    readonly big: string | null;
  };
  /** An update that leaves `big` alone does not send it. */
  readonly keepsBig: boolean;
}

const name = fc.option(
  fc.string({ unit: 'grapheme', maxLength: 8 }).map((text) => text.replaceAll('\0', '')),
  {
    nil: null,
  },
);
const weight = fc.option(
  fc.oneof(
    fc.constantFrom('NaN', 'Infinity', '-Infinity', '0', '1.5'),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  ),
  { nil: null },
);
const big = fc.option(
  fc.integer({ min: 0, max: 300 }).map((n) => 'tøast\n'.repeat(n)),
  { nil: null },
);

export const step: fc.Arbitrary<Step> = fc.record({
  table: fc.constantFrom<TableName>('keyed', 'pair', 'full', 'bag'),
  kind: fc.oneof(
    { weight: 8, arbitrary: fc.constant('insert' as const) },
    { weight: 6, arbitrary: fc.constant('update' as const) },
    { weight: 2, arbitrary: fc.constant('rekey' as const) },
    { weight: 3, arbitrary: fc.constant('delete' as const) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 9 }).map((n) => (n === 0 ? 'truncate' : 'delete')) },
  ),
  at: fc.nat(1000),
  to: fc.nat(12),
  values: fc.record({ name, weight, big }),
  keepsBig: fc.boolean(),
});

export type Transactions = readonly (readonly Step[])[];
export const transactions: fc.Arbitrary<Transactions> = fc.array(
  fc.array(step, { minLength: 1, maxLength: 8 }),
  {
    minLength: 1,
    maxLength: 30,
  },
);

/** The same transactions in every process that asks with the same seed. */
export function seededTransactions(seed: number, count: number): Transactions {
  return fc.sample(fc.array(step, { minLength: 1, maxLength: 12 }), { seed, numRuns: count });
}

/** Plays steps into a script and keeps what the source's tables hold. */
export class Workload {
  readonly script = new EventScript();
  readonly rows: Readonly<Record<TableName, TextRow[]>> = { keyed: [], pair: [], full: [], bag: [] };

  constructor(all: Transactions = []) {
    for (const steps of all) this.play(steps);
  }

  play(steps: readonly Step[]): void {
    this.script.transaction((tx) => {
      for (const each of steps) this.#play(tx, each);
    });
  }

  #play(tx: TransactionScript, { table, kind, at, to, values, keepsBig }: Step): void {
    const target = tables[table];
    const rows = this.rows[table];
    if (kind === 'truncate') {
      rows.length = 0;
      tx.truncate(target);
      return;
    }
    const index = rows.length === 0 ? -1 : at % rows.length;
    const old = rows[index];
    if (kind === 'insert' || old === undefined) {
      const row = { ...keyFor(table, to), ...values };
      if (this.#taken(target, row)) return;
      rows.push(row);
      tx.insert(target, row);
      return;
    }
    if (kind === 'delete') {
      rows.splice(index, 1);
      tx.delete(target, target.replicaIdentity === 'full' ? old : keyOf(target, old));
      return;
    }
    const keepsKey = kind === 'update';
    const next: TextRow = {
      ...(keepsKey ? keyOf(target, old) : keyFor(table, to)),
      ...values,
      ...(keepsBig ? { big: old['big'] ?? null } : {}),
    };
    if (!keepsKey && this.#taken(target, next)) return;
    rows[index] = next;
    const sent: Row = keepsBig && next['big'] !== null ? { ...next, big: UNCHANGED } : next;
    if (target.replicaIdentity === 'full') tx.update(target, sent, { before: old });
    else if (keepsKey) tx.update(target, sent);
    else tx.update(target, sent, { oldKey: keyOf(target, old) });
  }

  #taken(target: Relation, row: TextRow): boolean {
    if (target.key.length === 0) return false;
    const key = JSON.stringify(keyOf(target, row));
    return this.rows[target.table as TableName].some((each) => JSON.stringify(keyOf(target, each)) === key);
  }
}

function keyFor(table: TableName, to: number): TextRow {
  switch (table) {
    case 'keyed':
      return { id: String(9_007_199_254_740_990n + BigInt(to)) };
    case 'pair':
      return { left: `k${to % 3}`, right: `${to}.50` };
    case 'full':
      return { id: `00000000-0000-4000-8000-${String(to).padStart(12, '0')}` };
    case 'bag':
      return {};
  }
}

function keyOf(target: Relation, row: TextRow): TextRow {
  return Object.fromEntries(
    target.key.map((i) => {
      const { name: column } = target.columns[i] as Relation['columns'][number];
      return [column, row[column] ?? null];
    }),
  );
}
