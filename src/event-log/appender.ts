import { type Lsn, maxLsn } from '../events/lsn.ts';
import { BEFORE_ALL, type Position } from '../events/position.ts';
import type { Relation } from '../events/relation.ts';
import { BLOCK_HEADER_BYTES, closeBlock, openBlock } from './block.ts';
import type { LogWriter, TransactionHeader } from './contract.ts';
import {
  beginBytes,
  COMMIT_BYTES,
  EVENT_HEADER_BYTES,
  FRAME,
  kindOf,
  PROGRESS_BYTES,
  RELATION_HEADER_BYTES,
  ROLLBACK_BYTES,
  writeBegin,
  writeCommit,
  writeProgress,
  writeRollback,
} from './frame-format.ts';
import type { LargeTransactions } from './large-transactions.ts';
import { misuse } from './log-errors.ts';
import { NO_TABLE, type RelationRegistry } from './relation-registry.ts';
import { firstFrameOf, type SegmentIndex, segmentAt } from './segment-index.ts';
import type { Slab, SlabPool } from './slab.ts';
import type { Tail } from './tail.ts';

/** A transaction that outgrows its segment goes on in a new one at this multiple of the size; until then it is let finish. */
const LONGEST_SEGMENT = 2;

type AppendedEvent = Parameters<LogWriter['append']>[0];

/** Where a log ends: after recovery, a restart, or at the moment. */
export interface LogEnd extends CommittedEnd {
  /** Log offset behind the last frame. */
  readonly offset: number;
  /** Readers may go up to here: no transaction is open below it. */
  readonly visible: number;
}

export interface CommittedEnd {
  /** Of the last commit or progress. */
  readonly endLsn: Lsn;
  /** Of the last transaction with events. */
  readonly eventEndLsn: Lsn;
  /** Of the last committed event or message. */
  readonly last: Position;
}

export interface AppenderOptions {
  readonly dir: string;
  readonly tail: Tail;
  readonly pool: SlabPool;
  readonly index: SegmentIndex;
  readonly registry: RelationRegistry;
  readonly large: LargeTransactions;
  readonly segmentBytes: number;
  readonly blockBytes: number;
  readonly end: LogEnd;
  /** The log ends inside a transaction that nobody will finish. */
  readonly unfinished: boolean;
  /** Relation versions that the last segment already describes. */
  readonly described: Iterable<number>;
  readonly nowMs: () => number;
  /** Log offset up to which everything is on disk. */
  readonly syncedOffset: () => number;
  /** Readers may see more. */
  readonly onVisible: () => void;
  /** A block is complete. */
  readonly onBlock: () => void;
}

/** Puts frames into the tail, in blocks and segments; memory only. */
export class Appender {
  readonly #options: AppenderOptions;
  #end: CommittedEnd;
  #visible: number;

  // The slab being written; offsets below are local to it.
  #slab: Slab | undefined;
  #buffer: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(this.#buffer.buffer);
  #at = 0;
  /** Frames must end before it: end of the block or the slab. 0 while no block is open. */
  #limit = 0;
  #blockAt = -1;
  /** Log offset of the next frame's block while there is no slab. */
  #nextOffset: number;
  #segmentBase: number;

  #transaction: TransactionHeader | undefined;
  /** The open transaction is in the log already: its calls are ignored. */
  #replaying = false;
  #replayed = 0;
  #seq = 0;
  #beginOffset = 0;
  /** The relation of the last event: rows come in runs. */
  #relation: Relation | undefined;
  /** Relation versions the current segment describes, in whatever transaction: readers pass by all frames. */
  #described: Set<number>;
  #noTable: Relation | undefined;

  #source: Uint8Array = this.#buffer;
  #sourceBuffer: Buffer = this.#buffer;

  constructor(options: AppenderOptions) {
    this.#options = options;
    const { endLsn, eventEndLsn, last } = options.end;
    this.#end = { endLsn, eventEndLsn, last };
    this.#visible = options.end.visible;
    this.#nextOffset = options.end.offset;
    this.#segmentBase = options.index.last?.base ?? options.end.offset;
    this.#described = new Set(options.described);
  }

  /** Once, before anything else: what was left of an unfinished transaction is stepped over from now on. */
  start(): void {
    if (this.#options.unfinished) this.#abandon();
  }

  /** Log offset behind the last frame. */
  get offset(): number {
    return this.#slab === undefined ? this.#nextOffset : this.#slab.base + this.#at;
  }

  get visible(): number {
    return this.#visible;
  }

  get end(): LogEnd {
    return { ...this.#end, offset: this.offset, visible: this.#visible };
  }

  get endLsn(): Lsn {
    return this.#end.endLsn;
  }

  get last(): Position {
    return this.#end.last;
  }

  get inTransaction(): boolean {
    return this.#transaction !== undefined;
  }

  /** Transactions and messages that were in the log already. */
  get replayed(): number {
    return this.#replayed;
  }

  begin(transaction: TransactionHeader): void {
    if (this.#transaction !== undefined) throw misuse('begin inside a transaction');
    const { last } = this.#end;
    const { commitLsn } = transaction;
    // A message may stand at the very position its follower commits at, as number 0.
    if (commitLsn < last.commitLsn || (commitLsn === last.commitLsn && last.seq > 0)) this.#replaying = true;
    else this.#startSegmentWhenFull();
    this.#transaction = transaction;
    this.#seq = 0;
    if (this.#replaying) return;
    const size = beginBytes(transaction);
    const at = this.#reserve(size);
    this.#beginOffset = (this.#slab as Slab).base + at;
    writeBegin(this.#view, this.#buffer, at, { size, seqBefore: 0, transaction });
  }

  append(event: AppendedEvent): void {
    if (this.#transaction === undefined) throw misuse('append outside a transaction');
    if (this.#replaying) return;
    if (this.offset - this.#segmentBase >= LONGEST_SEGMENT * this.#options.segmentBytes && this.#seq > 0) {
      this.#continue();
    }
    this.#writeEvent(kindOf(event.kind), event);
    this.#seq += 1;
  }

  commit(endLsn: Lsn): void {
    const transaction = this.#transaction;
    if (transaction === undefined) throw misuse('commit outside a transaction');
    this.#transaction = undefined;
    if (this.#replaying) {
      this.#replaying = false;
      this.#replayed += 1;
      return;
    }
    const at = this.#reserve(COMMIT_BYTES);
    writeCommit(this.#view, at, endLsn, this.#seq);
    const seq = this.#seq;
    const { offset } = this;
    this.#options.large.add({ begin: this.#beginOffset, end: offset, eventCount: seq, endLsn });
    this.#publish(
      seq === 0
        ? { endLsn }
        : { endLsn, eventEndLsn: endLsn, last: { commitLsn: transaction.commitLsn, seq } },
    );
  }

  message(lsn: Lsn, body: Uint8Array): void {
    // The server hands out a transaction as a unit when it reads its commit record, a message when it reads the message.
    if (this.#transaction !== undefined) throw misuse('a non-transactional message inside a transaction');
    if (lsn <= this.#end.last.commitLsn) {
      this.#replayed += 1;
      return;
    }
    this.#startSegmentWhenFull();
    this.#noTable ??= this.#options.registry.define(NO_TABLE);
    this.#writeEvent(FRAME.looseMessage, {
      relation: this.#noTable,
      walLsn: lsn,
      body,
      start: 0,
      end: body.length,
    });
    this.#publish({ last: { commitLsn: lsn, seq: 0 } });
  }

  rollback(): void {
    if (this.#transaction === undefined) return;
    this.#transaction = undefined;
    if (this.#replaying) {
      this.#replaying = false;
      return;
    }
    this.#abandon();
  }

  progress(endLsn: Lsn): void {
    if (this.#transaction !== undefined) throw misuse('progress inside a transaction');
    if (endLsn <= this.#end.endLsn) return;
    this.#startSegmentWhenFull();
    const at = this.#reserve(PROGRESS_BYTES);
    writeProgress(this.#view, at, endLsn);
    this.#publish({ endLsn });
  }

  /** Closes the block being written, so that everything up to `offset` can go to disk. */
  closeBlock(): void {
    const slab = this.#slab;
    if (slab === undefined || this.#blockAt < 0) return;
    closeBlock(this.#buffer, this.#view, this.#blockAt, this.#at, this.#options.syncedOffset());
    slab.length = this.#at;
    this.#blockAt = -1;
    this.#limit = 0;
  }

  /** The next frame begins a new log: what was before it is of no account to readers. */
  restart(startLsn: Lsn): void {
    if (this.#transaction !== undefined) throw misuse('restart inside a transaction');
    this.#end = { endLsn: startLsn, eventEndLsn: startLsn, last: BEFORE_ALL };
    this.#startSegment(true);
  }

  #publish(moved: Partial<CommittedEnd>): void {
    const { endLsn, eventEndLsn, last } = this.#end;
    this.#end = {
      endLsn: maxLsn(endLsn, moved.endLsn ?? endLsn),
      eventEndLsn: moved.eventEndLsn ?? eventEndLsn,
      last: moved.last ?? last,
    };
    this.#visible = this.offset;
    this.#options.onVisible();
  }

  #abandon(): void {
    const at = this.#reserve(ROLLBACK_BYTES);
    writeRollback(this.#view, at);
    this.#publish({});
  }

  #writeEvent(kind: number, event: Omit<AppendedEvent, 'kind'>): void {
    if (event.relation !== this.#relation) this.#describe(event.relation);
    const { body, start, end } = event;
    const size = EVENT_HEADER_BYTES + end - start;
    const at = this.#reserve(size);
    const view = this.#view;
    view.setUint32(at, size, true);
    view.setUint8(at + 4, kind);
    view.setUint32(at + 5, event.relation.version, true);
    view.setBigUint64(at + 9, event.walLsn, true);
    // Buffer.copy is four times quicker than TypedArray.set where the target is shared memory.
    if (body !== this.#source) {
      this.#source = body;
      this.#sourceBuffer = Buffer.isBuffer(body)
        ? body
        : Buffer.from(body.buffer, body.byteOffset, body.length);
    }
    this.#sourceBuffer.copy(this.#buffer, at + EVENT_HEADER_BYTES, start, end);
  }

  /** Every segment describes the relations it uses, before their first use. */
  #describe(relation: Relation): void {
    const { version } = relation;
    if (!this.#described.has(version)) {
      const text = this.#options.registry.textOf(version);
      const size = RELATION_HEADER_BYTES + Buffer.byteLength(text);
      const at = this.#reserve(size);
      this.#view.setUint32(at, size, true);
      this.#view.setUint8(at + 4, FRAME.relation);
      this.#view.setUint32(at + 5, version, true);
      this.#buffer.utf8Write(text, at + RELATION_HEADER_BYTES);
      this.#described.add(version);
    }
    this.#relation = relation;
  }

  /** Room for a frame of `size` bytes: where it goes in the slab, which may be another one than before. */
  #reserve(size: number): number {
    if (this.#at + size > this.#limit) this.#makeRoom(size);
    const at = this.#at;
    this.#at = at + size;
    return at;
  }

  #makeRoom(size: number): void {
    const wasOpen = this.#blockAt >= 0;
    this.closeBlock();
    const needed = BLOCK_HEADER_BYTES + size;
    if (this.#options.index.last === undefined) this.#startSegment(false);
    if (this.#slab === undefined || this.#at + needed > this.#slab.capacity) this.#nextSlab(needed);
    const slab = this.#slab as unknown as Slab;
    openBlock(this.#buffer, this.#view, this.#at, slab.base + this.#at);
    this.#blockAt = this.#at;
    this.#limit = Math.min(slab.capacity, this.#at + Math.max(this.#options.blockBytes, needed));
    this.#at += BLOCK_HEADER_BYTES;
    if (wasOpen) this.#options.onBlock();
  }

  #nextSlab(bytes: number): void {
    const slab = this.#options.pool.take(this.offset, bytes);
    this.#options.tail.push(slab);
    this.#slab = slab;
    this.#buffer = slab.buffer;
    this.#view = slab.view;
    this.#at = 0;
  }

  #startSegmentWhenFull(): void {
    if (this.offset - this.#segmentBase >= this.#options.segmentBytes) this.#startSegment(false);
  }

  /** Goes on with the open transaction in a new segment. */
  #continue(): void {
    const transaction = this.#transaction as TransactionHeader;
    this.#startSegment(false);
    const size = beginBytes(transaction);
    const at = this.#reserve(size);
    writeBegin(this.#view, this.#buffer, at, { size, seqBefore: this.#seq, transaction });
  }

  #startSegment(startsLog: boolean): void {
    this.closeBlock();
    const { dir, index, registry, nowMs } = this.#options;
    const base = this.offset;
    const { last, endLsn, eventEndLsn } = this.#end;
    const inside = this.#transaction !== undefined && this.#seq > 0;
    const segment = segmentAt(dir, {
      base,
      createdMs: nowMs(),
      startsLog: startsLog || index.last === undefined,
      continues: inside,
      previous: inside
        ? { commitLsn: (this.#transaction as TransactionHeader).commitLsn, seq: this.#seq }
        : last,
      last,
      endLsn,
      startLsn: eventEndLsn,
      nextRelation: registry.next,
    });
    index.push(segment);
    this.#segmentBase = base;
    this.#slab = undefined;
    this.#at = 0;
    this.#limit = 0;
    this.#nextOffset = firstFrameOf(segment);
    this.#described = new Set();
    this.#relation = undefined;
  }
}
