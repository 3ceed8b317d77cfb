import type { BeforeImage, ColumnState, EventView, Op, Side, TransactionInfo } from '../change-event.ts';
import type { Position } from '../position.ts';
import type { Relation } from '../relation.ts';
import {
  END_BINARY,
  END_NOT_CAPTURED,
  END_NULL,
  END_UNCHANGED,
  malformed,
  TupleLayout,
} from './tuple-layout.ts';

/**
 * What a cursor is pointed at. The body is what follows the relation id in pgoutput's own message, as LogWriter.append describes it;
 * a `read` has an insert's body. One such object can be filled again and again: `point` copies its fields.
 */
export interface FrameEvent {
  readonly op: Op;
  readonly relation: Relation;
  readonly transaction: TransactionInfo;
  /** 0 for a message outside a transaction. */
  readonly seq: number;
  /** Upper and lower 32 bits of the WAL record's LSN, unsigned: a bigint is made only for who asks. */
  readonly walLsnHigh: number;
  readonly walLsnLow: number;
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

const TAG_KEY = 0x4b; // K
const TAG_OLD = 0x4f; // O
const TAG_NEW = 0x4e; // N

const TRUNCATE_CASCADE = 1;
const TRUNCATE_RESTART_IDENTITY = 2;
const MESSAGE_TRANSACTIONAL = 1;
const MESSAGE_PREFIX_OFFSET = 9; // flags, LSN

const WORDS = new DataView(new ArrayBuffer(8));

const EMPTY = Buffer.alloc(0);
const NO_TRANSACTION: TransactionInfo = {
  xid: 0,
  commitTimeUs: 0n,
  commitLsn: 0n,
  endLsn: 0n,
  eventCount: 0,
};
const NO_RELATION: Relation = {
  version: 0,
  oid: 0,
  schema: '',
  table: '',
  replicaIdentity: 'nothing',
  columns: [],
  key: [],
};

/**
 * The cursor over events as the log stores them. Finds the columns of a tuple when one of them is first asked for.
 *
 * An unchanged TOAST value whose old image holds it (REPLICA IDENTITY FULL) is answered from there, so that no reader has to know.
 */
export class FrameEventView implements EventView {
  op: Op = 'message';
  relation: Relation = NO_RELATION;
  transaction: TransactionInfo = NO_TRANSACTION;
  seq = 0;
  bytes: Buffer = EMPTY;
  start = 0;
  end = 0;
  beforeImage: BeforeImage = 'none';
  hasAfter = false;

  #walLsnHigh = 0;
  #walLsnLow = 0;
  #bodyStart = 0;
  #bodyEnd = 0;
  /** Offset of the new tuple's tag; -1 until known. */
  #newAt = -1;
  #oldScanned = false;
  #newScanned = false;
  #keyChanged: boolean | undefined;
  readonly #old = new TupleLayout();
  readonly #new = new TupleLayout();

  /** Moves the cursor. Throws E_PROTOCOL when the body does not begin as its operation must. */
  point(event: FrameEvent): void {
    const { op, buffer, start } = event;
    this.op = op;
    this.relation = event.relation;
    this.transaction = event.transaction;
    this.seq = event.seq;
    this.bytes = buffer;
    this.start = 0;
    this.end = 0;
    this.#walLsnHigh = event.walLsnHigh;
    this.#walLsnLow = event.walLsnLow;
    this.#bodyStart = start;
    this.#bodyEnd = event.end;
    this.#oldScanned = false;
    this.#newScanned = false;
    this.#keyChanged = undefined;
    this.#newAt = -1;
    this.hasAfter = false;
    this.beforeImage = 'none';
    if (op === 'message' || op === 'truncate') return;

    const tag = start < event.end ? (buffer[start] as number) : 0;
    if (tag === TAG_NEW) {
      this.#newAt = start;
      this.hasAfter = true;
    } else if (tag === TAG_KEY || tag === TAG_OLD) {
      this.beforeImage = tag === TAG_KEY ? 'key' : 'full';
      this.hasAfter = op === 'update';
    }
    if (
      op === 'delete' ? this.beforeImage === 'none' : !this.hasAfter || (op !== 'update' && tag !== TAG_NEW)
    ) {
      throw malformed(`the body of an ${op} begins with byte 0x${tag.toString(16)}`);
    }
  }

  get commitLsn(): bigint {
    return this.transaction.commitLsn;
  }

  get walLsn(): bigint {
    // One bigint instead of three.
    WORDS.setUint32(0, this.#walLsnHigh);
    WORDS.setUint32(4, this.#walLsnLow);
    return WORDS.getBigUint64(0);
  }

  get position(): Position {
    return { commitLsn: this.transaction.commitLsn, seq: this.seq };
  }

  column(side: Side, i: number): ColumnState {
    if (side === 'before') return this.#oldColumn(i);
    if (!this.hasAfter) return 'absent';
    if (!this.#newScanned) this.#scanNew();
    const layout = this.#new;
    if (i >= layout.count) throw this.#noColumn(i, layout.count);
    const end = layout.ends[i] as number;
    if (end >= 0) {
      this.start = layout.starts[i] as number;
      this.end = end;
      return 'value';
    }
    if (end === END_UNCHANGED) {
      // The old image is detoasted by the server, so it has the value whenever it has the column.
      return this.beforeImage !== 'none' && this.#oldColumn(i) === 'value' ? 'value' : 'unchanged';
    }
    return stateOf(end);
  }

  text(): string {
    return this.bytes.utf8Slice(this.start, this.end);
  }

  get keyChanged(): boolean {
    if (this.op !== 'update' || this.beforeImage === 'none') return false;
    this.#keyChanged ??= this.#compareKeys();
    return this.#keyChanged;
  }

  #compareKeys(): boolean {
    const { key } = this.relation;
    for (let k = 0; k < key.length; k++) {
      const i = key[k] as number;
      const before = this.#oldColumn(i);
      // A key column outside the replica identity is not in the old image: nothing is known of its change.
      if (before === 'not-captured') continue;
      const start = this.start;
      const end = this.end;
      const after = this.column('after', i);
      if (before !== after) return true;
      if (before === 'value' && !equalBytes(this.bytes, start, end, this.start, this.end)) return true;
    }
    return false;
  }

  get truncateOptions(): { readonly cascade: boolean; readonly restartIdentity: boolean } {
    const options = this.#byteOf('truncate', 0);
    return {
      cascade: (options & TRUNCATE_CASCADE) !== 0,
      restartIdentity: (options & TRUNCATE_RESTART_IDENTITY) !== 0,
    };
  }

  get message(): { readonly prefix: string; readonly content: Buffer; readonly transactional: boolean } {
    const flags = this.#byteOf('message', 0);
    const prefixStart = this.#bodyStart + MESSAGE_PREFIX_OFFSET;
    const prefixEnd = this.bytes.indexOf(0, prefixStart);
    const contentStart = prefixEnd + 5;
    if (prefixEnd < 0 || contentStart > this.#bodyEnd) throw malformed('a message ends inside its prefix');
    const contentEnd = contentStart + this.bytes.readInt32BE(prefixEnd + 1);
    if (contentEnd < contentStart || contentEnd > this.#bodyEnd) {
      throw malformed('a message is shorter than the length it gives');
    }
    return {
      prefix: this.bytes.utf8Slice(prefixStart, prefixEnd),
      content: this.bytes.subarray(contentStart, contentEnd),
      transactional: (flags & MESSAGE_TRANSACTIONAL) !== 0,
    };
  }

  #oldColumn(i: number): ColumnState {
    if (this.beforeImage === 'none') return 'absent';
    if (!this.#oldScanned) this.#scanOld();
    const layout = this.#old;
    if (i >= layout.count) throw this.#noColumn(i, layout.count);
    const end = layout.ends[i] as number;
    if (end >= 0) {
      this.start = layout.starts[i] as number;
      this.end = end;
      return 'value';
    }
    // pgoutput fills a key-only tuple with nulls for the columns it does not send: these are unknown, not null.
    if (end === END_NULL && this.beforeImage === 'key' && this.relation.columns[i]?.inIdentity !== true) {
      return 'not-captured';
    }
    return stateOf(end);
  }

  #scanOld(): void {
    const next = this.#old.scan(this.bytes, this.#bodyStart + 1, this.#bodyEnd);
    if (this.op === 'update') {
      if (next >= this.#bodyEnd || this.bytes[next] !== TAG_NEW)
        throw malformed('an update lacks its new tuple');
      this.#newAt = next;
    }
    this.#oldScanned = true;
  }

  #scanNew(): void {
    if (this.#newAt < 0) this.#scanOld();
    this.#new.scan(this.bytes, this.#newAt + 1, this.#bodyEnd);
    this.#newScanned = true;
  }

  #byteOf(op: Op, offset: number): number {
    const at = this.#bodyStart + offset;
    if (this.op !== op || at >= this.#bodyEnd) throw malformed(`a ${this.op} has no ${op} options`);
    return this.bytes[at] as number;
  }

  #noColumn(i: number, count: number): Error {
    const { schema, table } = this.relation;
    return malformed(`column ${i + 1} of ${schema}.${table} is asked for and the tuple has ${count}`);
  }
}

function stateOf(end: number): ColumnState {
  if (end === END_NULL) return 'null';
  if (end === END_NOT_CAPTURED) return 'not-captured';
  if (end === END_BINARY) throw malformed('a value is in binary form, which the stream is not asked for');
  return 'unchanged';
}

function equalBytes(bytes: Buffer, aStart: number, aEnd: number, bStart: number, bEnd: number): boolean {
  if (aEnd - aStart !== bEnd - bStart) return false;
  for (let a = aStart, b = bStart; a < aEnd; a++, b++) {
    if (bytes[a] !== bytes[b]) return false;
  }
  return true;
}
