import { ByteWriter } from '../../byte-writer.ts';
import type { EventView } from '../../change-event.ts';
import type { Lsn } from '../../lsn.ts';
import type { Relation } from '../../relation.ts';
import { writeInteger } from '../../values/integers.ts';
import { jacksonBytes } from '../../values/json-string.ts';
import type { RecordContext } from '../contract.ts';
import { type ConnectSchema, optional } from './connect-schema.ts';

const INT64: ConnectSchema = { type: 'int64' };
const STRING: ConnectSchema = { type: 'string' };

const SNAPSHOT_VALUES = 'true,first,first_in_data_collection,last_in_data_collection,last,false,incremental';

/** Debezium's source block, and the event's position at its end. */
export const SOURCE_SCHEMA: ConnectSchema = {
  type: 'struct',
  fields: [
    { field: 'version', schema: STRING },
    { field: 'connector', schema: STRING },
    { field: 'name', schema: STRING },
    { field: 'ts_ms', schema: INT64 },
    {
      field: 'snapshot',
      schema: {
        type: 'string',
        optional: true,
        name: 'io.debezium.data.Enum',
        version: 1,
        parameters: { allowed: SNAPSHOT_VALUES },
        default: 'false',
      },
    },
    { field: 'db', schema: STRING },
    { field: 'sequence', schema: optional(STRING) },
    { field: 'ts_us', schema: optional(INT64) },
    { field: 'ts_ns', schema: optional(INT64) },
    { field: 'schema', schema: STRING },
    { field: 'table', schema: STRING },
    { field: 'txId', schema: optional(INT64) },
    { field: 'lsn', schema: optional(INT64) },
    { field: 'xmin', schema: optional(INT64) },
    { field: 'origin', schema: optional(STRING) },
    { field: 'origin_lsn', schema: optional(INT64) },
    { field: 'commit_lsn', schema: INT64 },
    { field: 'seq', schema: INT64 },
  ],
  name: 'io.debezium.connector.postgresql.Source',
  version: 1,
};

const NONE = Buffer.alloc(0);

/**
 * Writes `source`. What all events of a transaction share is composed once and copied.
 *
 * `sequence` is [commit LSN, LSN of the event]: Debezium has the *previous* commit it saw in the first place, which depends on where a
 * run began; ours orders events in the same way and is the same on every replay.
 */
export class SourceBlock {
  readonly #beforeTime: Buffer;
  readonly #afterSnapshot: Buffer;
  readonly #tableAndTxId: Buffer;
  /** Of the transaction last written: up to the event's LSN in `sequence`, up to `lsn`, up to `seq`. */
  #head: Buffer = NONE;
  #middle: Buffer = NONE;
  #tail: Buffer = NONE;
  readonly #composed = new ByteWriter(1024);
  #commitLsn: Lsn = -1n;
  #kind: Kind = 'change';

  constructor(relation: Relation, context: RecordContext) {
    const { version, topicPrefix, database } = context;
    const text = (value: string): string => jacksonBytes(value).toString();
    this.#beforeTime = Buffer.from(
      `{"version":${text(version)},"connector":"postgresql","name":${text(topicPrefix)},"ts_ms":`,
    );
    this.#afterSnapshot = Buffer.from(`,"db":${text(database)},"sequence":"[\\"`);
    this.#tableAndTxId = Buffer.from(
      `,"schema":${text(relation.schema)},"table":${text(relation.table)},"txId":`,
    );
  }

  write(event: EventView, out: ByteWriter): void {
    const kind = kindOf(event);
    if (event.commitLsn !== this.#commitLsn || kind !== this.#kind) this.#compose(event, kind);
    out.piece(this.#head);
    if (kind !== 'read') {
      const lsn = event.walLsn;
      writeLsn(out, lsn);
      out.piece(this.#middle);
      writeLsn(out, lsn);
    }
    out.piece(this.#tail);
    writeInteger(out, event.seq);
    out.byte(0x7d);
  }

  #compose(event: EventView, kind: Kind): void {
    const { commitTimeUs, xid, commitLsn, origin } = event.transaction;
    const micros = Number(commitTimeUs);
    const text = this.#composed;
    text.reset();
    text.bytes(this.#beforeTime);
    writeInteger(text, Math.floor(micros / 1000));
    text.ascii(kind === 'read' ? ',"snapshot":"incremental"' : ',"snapshot":"false"');
    text.bytes(this.#afterSnapshot);
    writeLsn(text, commitLsn);
    text.ascii('\\",\\"');
    // A row read from the table has no WAL record: it stands at its position alone.
    if (kind === 'read') writeLsn(text, commitLsn);
    const headEnd = text.length;

    text.ascii('\\"]","ts_us":');
    writeInteger(text, micros);
    text.ascii(',"ts_ns":');
    writeInteger(text, micros);
    text.ascii('000');
    text.bytes(this.#tableAndTxId);
    if (kind === 'change') writeInteger(text, xid);
    else text.ascii('null');
    text.ascii(kind === 'read' ? ',"lsn":null' : ',"lsn":');
    const middleEnd = text.length;

    text.ascii(',"xmin":null,"origin":');
    if (origin === undefined) text.ascii('null,"origin_lsn":null');
    else {
      text.bytes(jacksonBytes(origin.name));
      text.ascii(`,"origin_lsn":${origin.commitLsn}`);
    }
    text.ascii(',"commit_lsn":');
    writeLsn(text, commitLsn);
    text.ascii(',"seq":');

    this.#head = text.buffer.subarray(0, kind === 'read' ? middleEnd : headEnd);
    this.#middle = text.buffer.subarray(headEnd, middleEnd);
    this.#tail = text.buffer.subarray(middleEnd, text.length);
    this.#commitLsn = commitLsn;
    this.#kind = kind;
  }
}

/** `loose`: a message outside any transaction. */
type Kind = 'change' | 'read' | 'loose';

function kindOf(event: EventView): Kind {
  if (event.op === 'read') return 'read';
  return event.op === 'message' && event.seq === 0 ? 'loose' : 'change';
}

function writeLsn(out: ByteWriter, lsn: Lsn): void {
  if (lsn <= 0x1f_ffff_ffff_ffffn) writeInteger(out, Number(lsn));
  else out.ascii(lsn.toString());
}
