import type {
  BeforeImage,
  ColumnState,
  EventView,
  Op,
  Side,
  TransactionInfo,
} from '../../src/events/change-event.ts';
import type { Position } from '../../src/events/position.ts';
import type { Relation } from '../../src/events/relation.ts';

/** An event as the log holds it: `body` is what follows the relation id in pgoutput's own message. */
export interface BuiltEvent {
  readonly op: Op;
  readonly relation: Relation;
  readonly body: Buffer;
  readonly seq: number;
  readonly walLsn: bigint;
  readonly transaction: TransactionInfo;
}

interface Found {
  readonly state: ColumnState;
  readonly start: number;
  readonly end: number;
}

const KEY_TUPLE = 0x4b;
const OLD_TUPLE = 0x4f;
const NEW_TUPLE = 0x4e;

/** A cursor over built events, walking the tuple from its start at every question: for tests only. */
export class BuiltEventView implements EventView {
  #event: BuiltEvent | undefined;
  start = 0;
  end = 0;

  moveTo(event: BuiltEvent): this {
    this.#event = event;
    this.start = this.end = 0;
    return this;
  }

  get #current(): BuiltEvent {
    if (this.#event === undefined) throw new Error('The cursor stands on no event.');
    return this.#event;
  }

  get op(): Op {
    return this.#current.op;
  }
  get relation(): Relation {
    return this.#current.relation;
  }
  get position(): Position {
    return { commitLsn: this.commitLsn, seq: this.seq };
  }
  get commitLsn(): bigint {
    return this.#current.transaction.commitLsn;
  }
  get seq(): number {
    return this.#current.seq;
  }
  get walLsn(): bigint {
    return this.#current.walLsn;
  }
  get transaction(): TransactionInfo {
    return this.#current.transaction;
  }
  get bytes(): Buffer {
    return this.#current.body;
  }

  get beforeImage(): BeforeImage {
    if (this.op !== 'update' && this.op !== 'delete') return 'none';
    const kind = this.bytes[0];
    return kind === KEY_TUPLE ? 'key' : kind === OLD_TUPLE ? 'full' : 'none';
  }

  get hasAfter(): boolean {
    return this.op === 'insert' || this.op === 'update' || this.op === 'read';
  }

  column(side: Side, i: number): ColumnState {
    const { state, start, end } = this.#find(side, i);
    if (state === 'value') {
      this.start = start;
      this.end = end;
    }
    return state;
  }

  text(): string {
    return this.bytes.toString('utf8', this.start, this.end);
  }

  get keyChanged(): boolean {
    if (this.op !== 'update' || this.beforeImage === 'none') return false;
    return this.relation.key.some((i) => {
      const before = this.#find('before', i);
      const after = this.#find('after', i);
      if (before.state === 'not-captured' || after.state === 'unchanged') return false;
      if (before.state !== 'value' || after.state !== 'value') return before.state !== after.state;
      return (
        Buffer.compare(
          this.bytes.subarray(before.start, before.end),
          this.bytes.subarray(after.start, after.end),
        ) !== 0
      );
    });
  }

  get truncateOptions(): { readonly cascade: boolean; readonly restartIdentity: boolean } {
    const flags = this.bytes[0] ?? 0;
    return { cascade: (flags & 1) !== 0, restartIdentity: (flags & 2) !== 0 };
  }

  get message(): { readonly prefix: string; readonly content: Buffer; readonly transactional: boolean } {
    const prefixEnd = this.bytes.indexOf(0, 9);
    return {
      prefix: this.bytes.toString('utf8', 9, prefixEnd),
      content: this.bytes.subarray(prefixEnd + 5),
      transactional: this.bytes[0] === 1,
    };
  }

  #find(side: Side, column: number): Found {
    const absent: Found = { state: 'absent', start: 0, end: 0 };
    if (this.op === 'truncate' || this.op === 'message') return absent;
    const { bytes, relation, beforeImage } = this;
    let at = 0;
    if (side === 'before' && beforeImage === 'none') return absent;
    if (side === 'after') {
      if (!this.hasAfter) return absent;
      if (beforeImage !== 'none') at = this.#endOfTuple(1);
      if (bytes[at] !== NEW_TUPLE) throw new Error('No new tuple where one must be.');
    }
    at += 1;
    const count = bytes.readUInt16BE(at);
    if (column >= count) throw new Error(`The tuple has ${count} columns, not ${column + 1}.`);
    at += 2;
    for (let i = 0; i < column; i++) at = this.#endOfColumn(at);
    if (side === 'before' && beforeImage === 'key' && relation.columns[column]?.inIdentity !== true) {
      return { state: 'not-captured', start: 0, end: 0 };
    }
    switch (String.fromCharCode(bytes[at] as number)) {
      case 'n':
        return { state: 'null', start: 0, end: 0 };
      case 'u':
        return { state: 'unchanged', start: 0, end: 0 };
      case 'x':
        return { state: 'not-captured', start: 0, end: 0 };
      case 't':
        return { state: 'value', start: at + 5, end: at + 5 + bytes.readUInt32BE(at + 1) };
      default:
        throw new Error(`Unknown column kind at ${at}`);
    }
  }

  #endOfTuple(start: number): number {
    let at = start + 2;
    for (let left = this.bytes.readUInt16BE(start); left > 0; left--) at = this.#endOfColumn(at);
    return at;
  }

  #endOfColumn(at: number): number {
    return this.bytes[at] === 0x74 ? at + 5 + this.bytes.readUInt32BE(at + 1) : at + 1;
  }
}
