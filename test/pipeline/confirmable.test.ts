import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { confirmable, effectiveBudgetBytes, holdsSlot } from '../../src/pipeline/confirmable.ts';

const auto = { mode: 'auto', bytes: 1000n } as const;

describe('confirmable', () => {
  test('the slowest sink holds the slot while it is within the budget', () => {
    const state = { confirmed: 10n, synced: 500n, delivered: [400n, 200n], walEnd: 1200n };
    expect(confirmable(state, auto)).toBe(200n);
    expect(holdsSlot(state, auto)).toBe(true);
  });

  test('beyond the budget the log alone decides', () => {
    const state = { confirmed: 10n, synced: 500n, delivered: [400n, 199n], walEnd: 1200n };
    expect(confirmable(state, auto)).toBe(500n);
    expect(holdsSlot(state, auto)).toBe(false);
  });

  test('what only memory holds is never confirmed, whatever sinks say they have', () => {
    expect(confirmable({ confirmed: 0n, synced: 100n, delivered: [900n], walEnd: 900n }, auto)).toBe(100n);
  });

  test('never goes back', () => {
    expect(confirmable({ confirmed: 300n, synced: 500n, delivered: [200n], walEnd: 600n }, auto)).toBe(300n);
  });

  test('without positioned sinks the log alone holds', () => {
    expect(confirmable({ confirmed: 0n, synced: 77n, delivered: [], walEnd: 99n }, auto)).toBe(77n);
  });

  test('confirm: sinks waits for the slowest whatever the budget; confirm: log for none', () => {
    const state = { confirmed: 0n, synced: 5000n, delivered: [1n, 4000n], walEnd: 9000n };
    expect(confirmable(state, { ...auto, mode: 'sinks' })).toBe(1n);
    expect(confirmable(state, { ...auto, mode: 'log' })).toBe(5000n);
  });

  test('property: at most synced (or what was confirmed), and at most every sink unless the budget is spent', () => {
    const lsn = fc.bigInt(0n, (1n << 64n) - 1n);
    const state = fc.record({
      confirmed: lsn,
      synced: lsn,
      delivered: fc.array(lsn, { maxLength: 5 }),
      walEnd: lsn,
    });
    const budget = fc.record({ mode: fc.constantFrom('auto', 'sinks', 'log' as const), bytes: lsn });
    fc.assert(
      fc.property(state, budget, (given, allowed) => {
        const next = confirmable(given, allowed);
        expect(next >= given.confirmed).toBe(true);
        if (next === given.confirmed) return;
        expect(next <= given.synced).toBe(true);
        if (allowed.mode === 'log') return;
        const slowest = given.delivered.reduce((a, b) => (a < b ? a : b), given.synced);
        const spent = allowed.mode === 'auto' && given.walEnd - slowest > allowed.bytes;
        if (!spent) for (const delivered of given.delivered) expect(next <= delivered).toBe(true);
      }),
    );
  });
});

describe('the budget', () => {
  test('is at most half of max_slot_wal_keep_size', () => {
    expect(effectiveBudgetBytes(1000n, undefined)).toBe(1000n);
    expect(effectiveBudgetBytes(1000n, 600)).toBe(300n);
    expect(effectiveBudgetBytes(100n, 600)).toBe(100n);
  });
});
