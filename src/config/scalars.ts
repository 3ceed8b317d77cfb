import { z } from 'zod';

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTES = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 } as const;

const DURATION = /^(\d+)(ms|s|m|h|d)$/;
const BYTE_SIZE = /^(\d+)(B|KiB|MiB|GiB|TiB)$/;

const DURATION_SHAPE = 'expected a duration: a whole number and a unit, such as 500ms, 10s, 5m, 2h or 7d';
const BYTE_SIZE_SHAPE =
  'expected a size: a whole number and a unit of 1024, such as 512KiB, 64MiB or 1GiB (not KB, MB or GB)';

/** A length of time in YAML (`10s`), milliseconds in the code. */
export const duration = z.codec(
  z
    .string({ error: DURATION_SHAPE })
    .regex(DURATION, { error: DURATION_SHAPE })
    // Here and not on the codec: examples of what is written, not of what is made of it.
    .meta({ examples: ['10s', '5m', '7d'] }),
  z.number().int().nonnegative(),
  { decode: (text) => scale(text, DURATION, MILLISECONDS), encode: formatDuration },
);

/** A number of bytes in YAML (`1GiB`), a number in the code. */
export const byteSize = z.codec(
  z
    .string({ error: BYTE_SIZE_SHAPE })
    .regex(BYTE_SIZE, { error: BYTE_SIZE_SHAPE })
    .meta({ examples: ['64MiB', '1GiB'] }),
  z.number().int().nonnegative(),
  { decode: (text) => scale(text, BYTE_SIZE, BYTES), encode: formatByteSize },
);

/** The shortest exact spelling that {@link duration} reads back. */
export function formatDuration(ms: number): string {
  return format(ms, MILLISECONDS);
}

/** The shortest exact spelling that {@link byteSize} reads back. */
export function formatByteSize(bytes: number): string {
  return format(bytes, BYTES);
}

function scale(text: string, shape: RegExp, units: Readonly<Record<string, number>>): number {
  const [, count, unit] = shape.exec(text) ?? [];
  // What does not match has been refused before; what is too large for an exact number is refused after, as "not an integer".
  return Number(count) * (units[unit ?? ''] ?? Number.NaN);
}

function format(value: number, units: Readonly<Record<string, number>>): string {
  const largestFirst = Object.entries(units).sort(([, a], [, b]) => b - a);
  const smallest = largestFirst.at(-1);
  const [name, size] =
    value === 0 ? (smallest ?? ['', 1]) : (largestFirst.find(([, each]) => value % each === 0) ?? ['', 1]);
  return `${value / size}${name}`;
}
