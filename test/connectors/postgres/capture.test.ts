import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CaptureRewriter } from '../../../connectors/postgres/capture.ts';
import { relation } from '../batch-builder.ts';
import { anyColumn } from './pgoutput/arbitrary-messages.ts';
import { type Column, encodeBody, type RowBody } from './pgoutput/encode-message.ts';

/** What `body` is when the columns that are not captured are the letter x, written by hand. */
function expected(body: RowBody, captured: readonly boolean[]): Buffer {
  const parts: Buffer[] = [];
  const tuple = (letter: string, columns: readonly Column[] | undefined): void => {
    if (columns === undefined) return;
    const whole = encodeBody({ new: columns });
    parts.push(Buffer.from(letter), whole.subarray(1, 3));
    columns.forEach((column, i) => {
      parts.push(captured[i] === true ? encodeBody({ new: [column] }).subarray(3) : Buffer.from('x'));
    });
  };
  tuple('K', body.key);
  tuple('O', body.old);
  tuple('N', body.new);
  return Buffer.concat(parts);
}

const cases = fc.array(fc.boolean(), { minLength: 1, maxLength: 10 }).chain((captured) => {
  const tuple = fc.array(anyColumn, { minLength: captured.length, maxLength: captured.length });
  const body: fc.Arbitrary<RowBody> = fc.oneof(
    fc.record({ new: tuple }),
    fc.record({ key: tuple, new: tuple }),
    fc.record({ old: tuple, new: tuple }),
    fc.record({ old: tuple }),
  );
  return fc.record({
    captured: fc.constant(captured),
    bodies: fc.array(body, { minLength: 1, maxLength: 4 }),
  });
});

test('excluded columns become x in every tuple, the others keep their bytes', () => {
  fc.assert(
    fc.property(cases, ({ captured, bodies }) => {
      const columns = Object.fromEntries(
        captured.map((each, i) => [`c${i}`, { type: 'text', captured: each }]),
      );
      const rewriter = CaptureRewriter.for(relation({ table: 't', columns }));
      if (!captured.includes(false)) {
        expect(rewriter).toBeUndefined();
        return;
      }
      for (const body of bodies) {
        const source = Buffer.concat([Buffer.from('##'), encodeBody(body), Buffer.from('##')]);
        const written = rewriter?.rewrite(source, 2, source.length - 2);
        expect(written?.bytes.subarray(0, written.length)).toEqual(expected(body, captured));
      }
    }),
    { numRuns: 300 },
  );
});

test('a row larger than any before it', () => {
  const table = relation({
    table: 't',
    columns: { id: 'int4', secret: { type: 'text', captured: false }, v: 'text' },
  });
  const big = 'v'.repeat(100_000);
  const source = encodeBody({ old: ['1', 'old secret', big], new: ['1', 'secret', big] });
  const { bytes, length } = CaptureRewriter.for(table)?.rewrite(source, 0, source.length) ?? {
    bytes: source,
    length: 0,
  };
  expect(length).toBe(source.length - (4 + 10) - (4 + 6));
  expect(bytes.subarray(0, length).includes('secret')).toBe(false);
});

test('null and unchanged are as hidden as values', () => {
  const table = relation({ table: 't', columns: { id: 'int4', secret: { type: 'text', captured: false } } });
  const hidden = [null, 'x', { unchanged: true }].map((secret) => {
    const source = encodeBody({ new: ['1', secret as Column] });
    const { bytes, length } = CaptureRewriter.for(table)?.rewrite(source, 0, source.length) ?? {
      bytes: source,
      length: 0,
    };
    return bytes.subarray(0, length).toString('hex');
  });
  expect(new Set(hidden).size).toBe(1);
});
