import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { byteSize, duration, formatByteSize, formatDuration } from '../../src/config/scalars.ts';

test.each([
  ['500ms', 500],
  ['10s', 10_000],
  ['5m', 300_000],
  ['2h', 7_200_000],
  ['7d', 604_800_000],
  ['0s', 0],
])('duration %s', (text, ms) => {
  expect(duration.parse(text)).toBe(ms);
});

test.each([
  ['0B', 0],
  ['512KiB', 524_288],
  ['64MiB', 67_108_864],
  ['1GiB', 1_073_741_824],
  ['2TiB', 2_199_023_255_552],
])('size %s', (text, bytes) => {
  expect(byteSize.parse(text)).toBe(bytes);
});

test.each([10, '10', '10 s', '-1s', '1.5h', '10S', '1h30m', '', null, '99999999999999999999d'])(
  '%j is no duration',
  (value) => {
    expect(duration.safeParse(value).success).toBe(false);
  },
);

test.each([1024, '1GB', '1 GiB', '1gib', '1.5GiB', '9007199254740993B', '99999999999TiB'])(
  '%j is no size',
  (value) => {
    expect(byteSize.safeParse(value).success).toBe(false);
  },
);

test('the message shows how to write it', () => {
  expect(duration.safeParse('ten').error?.issues[0]?.message).toContain('500ms');
  expect(byteSize.safeParse('1GB').error?.issues[0]?.message).toContain('1GiB');
});

test('what is formatted is read back as the same number', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      expect(duration.parse(formatDuration(value))).toBe(value);
      expect(byteSize.parse(formatByteSize(value))).toBe(value);
    }),
  );
});

test('editors see a string with its default', () => {
  const schema = z.strictObject({ every: duration.prefault('10s'), size: byteSize.optional() });
  expect(z.toJSONSchema(schema, { io: 'input' })).toMatchObject({
    properties: { every: { type: 'string', default: '10s' }, size: { type: 'string' } },
  });
});
