import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ProtocolViolation } from '../../../../connectors/postgres/pgoutput/protocol-violation.ts';
import { checkRow } from '../../../../connectors/postgres/pgoutput/row-structure.ts';
import { anyColumn } from './arbitrary-messages.ts';
import { type Column, encodeBody, type RowBody } from './encode-message.ts';

type Kind = 'insert' | 'update' | 'delete';

function check(kind: Kind, body: Buffer, columns: number): void {
  checkRow(kind, body, 0, body.length, columns);
}

function bodyFor(kind: Kind, image: 'key' | 'old' | 'none', before: Column[], after: Column[]): RowBody {
  if (kind === 'insert') return { new: after };
  const old = image === 'key' ? { key: before } : { old: before };
  if (kind === 'delete') return old;
  return image === 'none' ? { new: after } : { ...old, new: after };
}

const rows = fc
  .record({
    kind: fc.constantFrom<Kind>('insert', 'update', 'delete'),
    image: fc.constantFrom('key' as const, 'old' as const, 'none' as const),
    columns: fc.integer({ min: 0, max: 12 }),
  })
  .chain(({ kind, image, columns }) => {
    const tuple = fc.array(anyColumn, { minLength: columns, maxLength: columns });
    return fc.tuple(tuple, tuple).map(([before, after]) => ({
      kind,
      columns,
      body: encodeBody(bodyFor(kind, image, before, after)),
    }));
  });

test('well-formed rows pass, cut ones and longer ones never do', () => {
  fc.assert(
    fc.property(rows, fc.nat(), ({ kind, columns, body }, at) => {
      check(kind, body, columns);
      expect(() => check(kind, body.subarray(0, at % body.length), columns)).toThrow(ProtocolViolation);
      expect(() => check(kind, Buffer.concat([body, Buffer.from('n')]), columns)).toThrow(ProtocolViolation);
      expect(() => check(kind, body, columns + 1)).toThrow(/columns for a relation of/);
    }),
    { numRuns: 500 },
  );
});

test('a length that reaches out of the message is refused, also when its sum would wrap', () => {
  const body = encodeBody({ new: ['abc'] });
  for (const length of [4, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    const broken = Buffer.from(body);
    broken.writeUInt32BE(length, 4);
    expect(() => check('insert', broken, 1)).toThrow(`Column 0 (${length} bytes) goes beyond the end`);
  }
});

test('bytes beyond the message are not looked at', () => {
  const body = encodeBody({ new: ['abc'] });
  const around = Buffer.concat([Buffer.from('xx'), body, Buffer.from('tttt')]);
  checkRow('insert', around, 2, 2 + body.length, 1);
  expect(() => checkRow('insert', around, 2, 1 + body.length, 1)).toThrow(ProtocolViolation);
});

test('submessages belong to their operation', () => {
  const tuple = ['1'];
  expect(() => check('insert', encodeBody({ key: tuple }), 1)).toThrow("unexpected submessage 'K' (0x4b)");
  expect(() => check('insert', encodeBody({ old: tuple, new: tuple }), 1)).toThrow("'O' (0x4f)");
  expect(() => check('delete', encodeBody({ new: tuple }), 1)).toThrow("'N' (0x4e)");
  expect(() => check('delete', encodeBody({ key: tuple, new: tuple }), 1)).toThrow('bytes are left over');
  expect(() => check('update', encodeBody({ key: tuple }), 1)).toThrow('(end of message)');
  expect(() => check('update', Buffer.alloc(0), 1)).toThrow('(end of message)');
});

test('binary values and unknown kinds are refused: nobody asked for them', () => {
  const body = encodeBody({ new: ['abc'] });
  for (const kind of ['b', 'x', 'z']) {
    const broken = Buffer.from(body);
    broken.write(kind, 3);
    expect(() => check('insert', broken, 1)).toThrow(`Column 0 has the unknown kind '${kind}'`);
  }
});
