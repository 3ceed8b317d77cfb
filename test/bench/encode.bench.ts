import { ByteWriter } from '../../src/events/byte-writer.ts';
import type { RecordContext } from '../../src/events/formats/contract.ts';
import { createDocumentEncoder, createRecordEncoder } from '../../src/events/formats/record-format.ts';
import { type FrameEvent, FrameEventView } from '../../src/events/tuple/frame-event-view.ts';
import { baseType, relationOf, TRANSACTION, TupleBuilder } from '../events/tuple-builder.ts';

/**
 * Microseconds per event from tuple bytes to JSON bytes, one thread: `node test/bench/encode.bench.ts [events]`.
 * Rows of 12 columns, about 380 bytes of pgoutput, transactions of 10 rows.
 */
const EVENTS = Number(process.argv[2] ?? 400_000);
const DISTINCT_ROWS = 2_000;
const ROUNDS = 5;

const relation = relationOf({
  id: { type: 'int8', key: true },
  order_no: { type: 'varchar' },
  customer_id: { type: 'int4' },
  status: { type: 'text' },
  amount: { type: baseType('numeric', { typmod: ((12 << 16) | 2) + 4 }) },
  quantity: { type: 'int4' },
  weight: { type: 'float8' },
  paid: { type: 'bool' },
  note: { type: 'text' },
  attributes: { type: 'jsonb' },
  created_at: { type: 'timestamptz' },
  updated_at: { type: 'timestamp' },
});

const build = new TupleBuilder();
const bodies = Array.from({ length: DISTINCT_ROWS }, (_, i) =>
  build.insert([
    String(1_000_000 + i),
    `ORD-2026-${String(i).padStart(8, '0')}`,
    String((i * 7919) % 100_000),
    ['new', 'paid', 'packed', 'shipped'][i % 4] as string,
    `${(i * 37) % 10_000}.${String((i * 13) % 100).padStart(2, '0')}`,
    String(1 + (i % 9)),
    `${(i % 500) + 0.25}`,
    i % 3 === 0 ? 't' : 'f',
    'Leave the parcel with the neighbour on the second floor, please, and ring twice before you do so.',
    `{"colour": "blue", "size": ${i % 50}, "gift": false, "tags": ["a", "b"]}`,
    `2026-08-${String(1 + (i % 28)).padStart(2, '0')} 12:34:56.${String(100_000 + i)}+00`,
    i % 10 === 0 ? null : `2026-08-01 01:02:03.${String(200_000 + i)}`,
  ]),
);
const buffer = Buffer.concat(bodies);
const ends = bodies.map((_, i) => bodies.slice(0, i + 1).reduce((sum, body) => sum + body.length, 0));
const transactions = Array.from({ length: DISTINCT_ROWS / 10 }, (_, i) => ({
  ...TRANSACTION,
  xid: TRANSACTION.xid + i,
  commitLsn: TRANSACTION.commitLsn + BigInt(i) * 4096n,
}));

const context: RecordContext = {
  topicPrefix: 'shop',
  database: 'shop',
  version: '0.1.0',
  runId: '00000000-0000-0000-0000-000000000000',
  nowMs: () => Date.now(),
};

function measure(name: string, encode: (view: FrameEventView, out: ByteWriter) => void): void {
  const view = new FrameEventView();
  const out = new ByteWriter(4 * 1024 * 1024);
  const best: number[] = [];
  let bytes = 0;
  for (let round = 0; round < ROUNDS; round++) {
    bytes = 0;
    const start = process.hrtime.bigint();
    for (let i = 0; i < EVENTS; i++) {
      const row = i % DISTINCT_ROWS;
      view.point(frame(row));
      encode(view, out);
      if (out.length > 3 * 1024 * 1024) {
        bytes += out.length;
        out.reset();
      }
    }
    bytes += out.length;
    out.reset();
    best.push(Number(process.hrtime.bigint() - start) / 1000 / EVENTS);
  }
  best.sort((a, b) => a - b);
  console.log(
    `${name.padEnd(28)} ${(best[0] as number).toFixed(2)} us/event (median ${(best[ROUNDS >> 1] as number).toFixed(2)}), ${Math.round(bytes / EVENTS)} bytes`,
  );
}

const current: { -readonly [K in keyof FrameEvent]: FrameEvent[K] } = {
  op: 'insert',
  relation,
  transaction: TRANSACTION,
  seq: 1,
  walLsnHigh: 1,
  walLsnLow: 0,
  buffer,
  start: 0,
  end: 0,
};

function frame(row: number): FrameEvent {
  current.transaction = transactions[(row / 10) | 0] as (typeof transactions)[number];
  current.seq = (row % 10) + 1;
  current.walLsnLow = row * 400;
  current.start = row === 0 ? 0 : (ends[row - 1] as number);
  current.end = ends[row] as number;
  return current;
}

const debezium = createRecordEncoder({ format: 'debezium' }, relation, context);
const withSchemas = createRecordEncoder({ format: 'debezium', schemas_enable: true }, relation, context);
const plain = createRecordEncoder({ format: 'plain' }, relation, context);
const documents = createDocumentEncoder(relation);

console.log(`${EVENTS} events of ${Math.round(buffer.length / DISTINCT_ROWS)} bytes`);
measure('columns only', (view) => {
  for (let c = 0; c < 12; c++) view.column('after', c);
});
for (const [name, encoder] of [
  ['debezium, key and value', debezium],
  ['debezium with schemas', withSchemas],
  ['plain, key and value', plain],
] as const) {
  measure(name, (view, out) => {
    const parts = encoder.parts(view);
    for (let part = 0; part < parts; part++) {
      encoder.key(view, part, out);
      encoder.value(view, part, out);
    }
  });
}
measure('document', (view, out) => {
  documents.document(view, 'after', out);
});
