import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LatencyHistogram } from '../../../connectors/null/latency-histogram.ts';

test('quantiles are those of the values, to one part in 64', () => {
  const latency = fc.oneof(
    fc.nat(200),
    fc.nat(1_000_000),
    fc.maxSafeNat().map((n) => n % 2 ** 36),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(latency, fc.integer({ min: 1, max: 20 })), { minLength: 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (entries, q) => {
        const histogram = new LatencyHistogram();
        const values: number[] = [];
        for (const [us, times] of entries) {
          histogram.record(us, times);
          for (let i = 0; i < times; i++) values.push(us);
        }
        values.sort((a, b) => a - b);
        const exact = values[Math.max(1, Math.ceil(q * values.length)) - 1] as number;
        const found = histogram.quantileUs(q) as number;
        expect(histogram.count).toBe(values.length);
        expect(found).toBeGreaterThanOrEqual(exact);
        expect(found - exact).toBeLessThanOrEqual(exact / 64);
        expect(histogram.maxUs).toBe(values.at(-1));
      },
    ),
  );
});

test('nothing, clocks that disagree, and what is beyond every bucket', () => {
  const histogram = new LatencyHistogram();
  expect(histogram.quantileUs(0.5)).toBeUndefined();
  histogram.record(-5);
  expect(histogram.quantileUs(0.99)).toBe(0);
  histogram.record(2 ** 50);
  expect(histogram.quantileUs(1)).toBeGreaterThanOrEqual(2 ** 36 - 1);
  expect(histogram.maxUs).toBe(2 ** 50);
});
