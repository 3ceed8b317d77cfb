import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeMessage } from '../../../../connectors/postgres/pgoutput/decode-message.ts';
import type { PgoutputMessage } from '../../../../connectors/postgres/pgoutput/messages.ts';
import { ProtocolViolation } from '../../../../connectors/postgres/pgoutput/protocol-violation.ts';
import { anyMessage } from './arbitrary-messages.ts';
import { encodeLogicalMessage, encodeMessage, encodeRow, MessageWriter } from './encode-message.ts';

const TAGS = ['B', 'C', 'O', 'R', 'Y', 'I', 'U', 'D', 'T', 'M', 'S', 'E', 'c', 'A', 'b', 'P', 'K', 'r', 'p'];

function decode(bytes: Buffer, streamed = false): PgoutputMessage {
  return decodeMessage(bytes, 0, bytes.length, { streamed });
}

test('every message of protocol 1 to 4 is read back as it was written, wherever it lies in its buffer', () => {
  fc.assert(
    fc.property(anyMessage, fc.uint8Array({ maxLength: 20 }), ({ message, streamed }, around) => {
      const bytes = encodeMessage(message);
      expect(decode(bytes, streamed)).toEqual(message);
      const padded = Buffer.concat([around, bytes, around]);
      const end = around.length + bytes.length;
      expect(decodeMessage(padded, around.length, end, { streamed })).toEqual(message);
    }),
    { numRuns: 500 },
  );
});

test('a message that is cut anywhere, or goes on, is a violation and never something else', () => {
  fc.assert(
    fc.property(
      anyMessage,
      fc.nat(),
      fc.uint8Array({ minLength: 1, maxLength: 5 }),
      ({ message, streamed }, at, more) => {
        const bytes = encodeMessage(message);
        const cut = at % bytes.length;
        // Two messages have an optional end: what is left is another whole message.
        const whole = message.kind === 'stream-abort' && cut === 9;
        if (!whole) expect(() => decode(bytes.subarray(0, cut), streamed)).toThrow(ProtocolViolation);
        expect(() => decode(Buffer.concat([bytes, more]), streamed)).toThrow(ProtocolViolation);
      },
    ),
    { numRuns: 500 },
  );
});

test('arbitrary bytes are decoded or are a violation', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(...TAGS),
      fc.boolean(),
      (bytes, tag, streamed) => {
        const message = Buffer.concat([Buffer.from(tag), bytes]);
        try {
          decode(message, streamed);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolViolation);
        }
      },
    ),
    { numRuns: 2000 },
  );
});

describe('rows and logical messages keep their body where it is', () => {
  test('insert, update and delete', () => {
    const bytes = encodeRow('U', 70_000, { key: ['1', null], new: ['2', 'x'] });
    expect(decode(bytes)).toEqual({ kind: 'update', relationOid: 70_000, bodyStart: 5 });
    expect(decode(encodeRow('I', 4_000_000_000, { new: [] }))).toEqual({
      kind: 'insert',
      relationOid: 4_000_000_000,
      bodyStart: 5,
    });
    expect(decode(encodeRow('D', 1, { key: ['1'] }))).toMatchObject({ kind: 'delete', relationOid: 1 });
  });

  test('streamed rows have an xid in front', () => {
    const row = encodeRow('I', 5, { new: ['a'] });
    const streamed = new MessageWriter().tag('I').int32(77).bytes(row.subarray(1)).buffer;
    expect(decode(streamed, true)).toEqual({ kind: 'insert', streamedXid: 77, relationOid: 5, bodyStart: 9 });
  });

  test('a logical message', () => {
    const bytes = encodeLogicalMessage(0x1_0000_0000n, 'app.audit', 'äöü', true);
    expect(decode(bytes)).toEqual({
      kind: 'message',
      transactional: true,
      lsn: 0x1_0000_0000n,
      prefix: 'app.audit',
      bodyStart: 1,
    });
    expect(() => decode(bytes.subarray(0, -1))).toThrow(ProtocolViolation);
    expect(() => decode(Buffer.concat([bytes, Buffer.from('x')]))).toThrow(ProtocolViolation);
  });
});

test('what the manual does not know is named', () => {
  expect(() => decode(Buffer.from('Z'))).toThrow("Unknown pgoutput message 'Z' (0x5a)");
  expect(() => decode(Buffer.from([0xff]))).toThrow('Unknown pgoutput message (0xff)');
  expect(() => decode(Buffer.alloc(0))).toThrow(ProtocolViolation);
  const relation = new MessageWriter().tag('R').int32(1).text('s').text('t').tag('q').uint16(0).buffer;
  expect(() => decode(relation)).toThrow("Unknown replica identity 'q' (0x71)");
  const commit = new MessageWriter().tag('C').uint8(4).lsn(1n).lsn(2n).timeUs(0n).buffer;
  expect(() => decode(commit)).toThrow('Unknown flags (0x04)');
  const truncate = new MessageWriter().tag('T').int32(1).uint8(8).int32(1).buffer;
  expect(() => decode(truncate)).toThrow('Unknown options (0x08)');
  const message = new MessageWriter().tag('M').uint8(2).lsn(1n).text('p').int32(0).buffer;
  expect(() => decode(message)).toThrow('Unknown flags (0x02)');
});
