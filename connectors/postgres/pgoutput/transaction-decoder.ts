import type { EventKind, LogWriter, TransactionHeader } from '../../../src/event-log/contract.ts';
import { formatLsn, type Lsn, maxLsn } from '../../../src/events/lsn.ts';
import type { Relation, RelationDefinition } from '../../../src/events/relation.ts';
import { CaptureRewriter } from '../capture.ts';
import { decodeMessage } from './decode-message.ts';
import type {
  BeginMessage,
  CommitMessage,
  LogicalMessage,
  OriginMessage,
  PgoutputMessage,
  RelationMessage,
  TruncateMessage,
  TypeMessage,
} from './messages.ts';
import { ProtocolViolation, protocolError } from './protocol-violation.ts';
import { checkRow } from './row-structure.ts';

/** Logical messages of this prefix are our own and never become events. */
export const HEARTBEAT_PREFIX = 'tailrace.heartbeat';

/** What a logical message is written under: no table. */
const MESSAGE_RELATION: RelationDefinition = {
  oid: 0,
  schema: '',
  table: '',
  replicaIdentity: 'nothing',
  columns: [],
  key: [],
};

const INSERT = 0x49; // I
const UPDATE = 0x55; // U
const DELETE = 0x44; // D

/** Tag and relation id come before the body. */
const BODY_OFFSET = 5;

interface KnownRelation {
  readonly relation: Relation;
  readonly columnCount: number;
  readonly rewriter: CaptureRewriter | undefined;
}

interface OpenTransaction {
  readonly begin: BeginMessage;
  /** Already in the log: nothing of it is written. */
  readonly replayed: boolean;
  origin?: OriginMessage | undefined;
  /** `begin` was handed to the log, which happens with the first event. */
  written: boolean;
}

/** The argument of `append`, filled anew for every event. */
interface AppendedEvent {
  relation: Relation;
  kind: EventKind;
  walLsn: Lsn;
  body: Uint8Array;
  start: number;
  end: number;
}

/**
 * Turns the messages of one connection into calls of the event log. Synchronous and without I/O: what it cannot know by itself, the shape of a relation, it asks
 * for by returning the Relation message; the caller then calls `define` before it goes on with the next message.
 *
 * A row costs a look at its structure and `append`, nothing else. A transaction reaches the log with its first event; one without events (all of it
 * unpublished, or a heartbeat) is only progress.
 */
export class TransactionDecoder {
  readonly #into: LogWriter;
  /** Everything below is in the log. */
  readonly #held: Lsn;
  readonly #relations = new Map<number, KnownRelation>();
  readonly #types = new Map<number, TypeMessage>();
  readonly #event: AppendedEvent;
  /** Made when the first message comes: most logs never hold one. */
  #messages: Relation | undefined;
  #open: OpenTransaction | undefined;
  #lastCommitLsn: Lsn = 0n;
  #progress: Lsn;
  #walLsn: Lsn = 0n;
  #replayed = 0;
  /** The relation of the last row: rows come in runs. */
  #currentOid = 0;
  #current: KnownRelation | undefined;

  /** `held`: end of what the log has; transactions before it are dropped whole. */
  constructor(into: LogWriter, held: Lsn) {
    this.#into = into;
    this.#held = held;
    this.#progress = held;
    this.#event = {
      relation: { ...MESSAGE_RELATION, version: 0 },
      kind: 'insert',
      walLsn: 0n,
      body: new Uint8Array(0),
      start: 0,
      end: 0,
    };
  }

  /** Between Begin and Commit. */
  get inTransaction(): boolean {
    return this.#open !== undefined;
  }

  /** The log holds a begun transaction: on the way out it has to be rolled back. */
  get hasWritten(): boolean {
    return this.#open?.written === true;
  }

  /** End of the last transaction or message received, whether or not it became an event. */
  get progress(): Lsn {
    return this.#progress;
  }

  /** Commit time of the transaction received last; 0n before the first. */
  commitTimeUs = 0n;

  /** Transactions and messages the log already had. */
  get replayed(): number {
    return this.#replayed;
  }

  /**
   * Takes one message: `bytes[start, end)`, sent with the WAL position `walLsn` (0 for messages without one). Returns a Relation message that has to be
   * answered with `define`. Throws E_PROTOCOL.
   */
  decode(bytes: Buffer, start: number, end: number, walLsn: Lsn): RelationMessage | undefined {
    try {
      switch (bytes[start]) {
        case INSERT:
          return this.#row('insert', bytes, start, end, walLsn);
        case UPDATE:
          return this.#row('update', bytes, start, end, walLsn);
        case DELETE:
          return this.#row('delete', bytes, start, end, walLsn);
        default:
          if (walLsn !== 0n) this.#walLsn = walLsn;
          return this.#other(decodeMessage(bytes, start, end), bytes, start, end);
      }
    } catch (error) {
      if (!(error instanceof ProtocolViolation)) throw error;
      throw protocolError(error, { lsn: maxLsn(walLsn, this.#walLsn), bytes, start, end });
    }
  }

  /** The shape of the relation that `decode` asked for; it holds for the rows that follow. */
  define(message: RelationMessage, definition: RelationDefinition): void {
    const named = this.#nameTypes(definition);
    this.#relations.set(message.oid, {
      relation: this.#into.relation(named),
      columnCount: message.columns.length,
      rewriter: CaptureRewriter.for(named),
    });
    this.#current = undefined;
  }

  #row(
    kind: 'insert' | 'update' | 'delete',
    bytes: Buffer,
    start: number,
    end: number,
    walLsn: Lsn,
  ): undefined {
    const bodyStart = start + BODY_OFFSET;
    if (bodyStart > end) throw new ProtocolViolation('The relation id goes beyond the end', start);
    const known = this.#known(bytes.readUInt32BE(start + 1), start);
    checkRow(kind, bytes, bodyStart, end, known.columnCount);
    if (!this.#writes(kind, start)) return;
    const event = this.#event;
    event.relation = known.relation;
    event.kind = kind;
    event.walLsn = walLsn;
    if (known.rewriter === undefined) {
      event.body = bytes;
      event.start = bodyStart;
      event.end = end;
    } else {
      const body = known.rewriter.rewrite(bytes, bodyStart, end);
      event.body = body.bytes;
      event.start = 0;
      event.end = body.length;
    }
    this.#into.append(event);
  }

  #known(oid: number, start: number): KnownRelation {
    if (oid === this.#currentOid && this.#current !== undefined) return this.#current;
    const known = this.#relations.get(oid);
    if (known === undefined) {
      throw new ProtocolViolation(`Relation ${oid} was not described before its first use`, start + 1);
    }
    this.#currentOid = oid;
    this.#current = known;
    return known;
  }

  /** Whether an event of the open transaction goes into the log; begins the transaction there when it is the first. */
  #writes(what: string, start: number): boolean {
    const open = this.#open;
    if (open === undefined) throw new ProtocolViolation(`${what} outside a transaction`, start);
    if (open.replayed) return false;
    if (!open.written) {
      this.#into.begin(header(open));
      open.written = true;
    }
    return true;
  }

  #other(message: PgoutputMessage, bytes: Buffer, start: number, end: number): RelationMessage | undefined {
    switch (message.kind) {
      case 'begin':
        return this.#begin(message, start);
      case 'commit':
        return this.#commit(message, start);
      case 'origin':
        return this.#origin(message, start);
      case 'relation':
        return message;
      case 'type':
        this.#types.set(message.oid, message);
        return undefined;
      case 'truncate':
        return this.#truncate(message, bytes, start);
      case 'message':
        return this.#message(message, bytes, start, end);
      case 'insert':
      case 'update':
      case 'delete':
        // Taken by decode().
        return undefined;
      case 'stream-start':
      case 'stream-stop':
      case 'stream-commit':
      case 'stream-abort':
      case 'begin-prepare':
      case 'prepare':
      case 'stream-prepare':
      case 'commit-prepared':
      case 'rollback-prepared':
        throw new ProtocolViolation(`A ${message.kind} message, which was not asked for`, start);
    }
  }

  #begin(begin: BeginMessage, start: number): undefined {
    if (this.#open !== undefined) throw new ProtocolViolation('Begin inside a transaction', start);
    if (begin.commitLsn <= this.#lastCommitLsn) {
      throw new ProtocolViolation(
        `A transaction that commits at ${formatLsn(begin.commitLsn)} after one at ${formatLsn(this.#lastCommitLsn)}`,
        start,
      );
    }
    this.#lastCommitLsn = begin.commitLsn;
    this.commitTimeUs = begin.commitTimeUs;
    this.#open = { begin, replayed: begin.commitLsn < this.#held, written: false };
  }

  #commit(commit: CommitMessage, start: number): undefined {
    const open = this.#open;
    if (open === undefined) throw new ProtocolViolation('Commit outside a transaction', start);
    if (commit.commitLsn !== open.begin.commitLsn || commit.endLsn <= commit.commitLsn) {
      throw new ProtocolViolation(
        `Commit of ${formatLsn(commit.commitLsn)} to ${formatLsn(commit.endLsn)} in the transaction of ${formatLsn(open.begin.commitLsn)}`,
        start,
      );
    }
    // A start position inside a commit record would make us drop a transaction that nobody holds.
    if (open.replayed && commit.endLsn > this.#held) {
      throw new ProtocolViolation(
        `A commit record of ${formatLsn(commit.commitLsn)} to ${formatLsn(commit.endLsn)} around the start position ${formatLsn(this.#held)}`,
        start,
      );
    }
    // First: the log may tell its listeners at once that it has the transaction.
    this.#progress = maxLsn(this.#progress, commit.endLsn);
    if (open.replayed) this.#replayed += 1;
    if (open.written) this.#into.commit(commit.endLsn);
    this.#open = undefined;
  }

  #origin(origin: OriginMessage, start: number): undefined {
    if (this.#open === undefined || this.#open.written) {
      throw new ProtocolViolation('Origin not directly after Begin', start);
    }
    this.#open.origin = origin;
  }

  #truncate(message: TruncateMessage, bytes: Buffer, start: number): undefined {
    // Tag, count, then the option byte: the body of each of the events.
    const optionsAt = start + 5;
    const known = message.relationOids.map((oid) => this.#known(oid, start));
    for (const { relation } of known) {
      if (!this.#writes('truncate', start)) return;
      this.#append(relation, 'truncate', bytes, optionsAt, optionsAt + 1);
    }
  }

  #message(message: LogicalMessage, bytes: Buffer, start: number, end: number): undefined {
    const heartbeat = message.prefix === HEARTBEAT_PREFIX;
    if (message.transactional) {
      if (this.#open === undefined) {
        throw new ProtocolViolation('A transactional message outside a transaction', start);
      }
      if (heartbeat || !this.#writes('message', start)) return;
      this.#messages ??= this.#into.relation(MESSAGE_RELATION);
      this.#append(this.#messages, 'message', bytes, message.bodyStart, end);
      return;
    }
    // The LSN of a message is the end of its record: what ends at or before `held` is covered by it.
    if (message.lsn <= this.#held) {
      this.#replayed += 1;
      return;
    }
    if (!heartbeat) this.#into.message(message.lsn, bytes.subarray(message.bodyStart, end));
    if (this.#open === undefined) this.#progress = maxLsn(this.#progress, message.lsn);
  }

  #append(relation: Relation, kind: EventKind, bytes: Buffer, start: number, end: number): void {
    const event = this.#event;
    event.relation = relation;
    event.kind = kind;
    event.walLsn = this.#walLsn;
    event.body = bytes;
    event.start = start;
    event.end = end;
    this.#into.append(event);
  }

  /** A type that was dropped before we could ask the catalog still has the name that came with the stream. */
  #nameTypes(definition: RelationDefinition): RelationDefinition {
    const unnamed = (kind: string, oid: number): TypeMessage | undefined =>
      kind === 'unknown' ? this.#types.get(oid) : undefined;
    if (!definition.columns.some(({ type }) => unnamed(type.kind, type.oid) !== undefined)) return definition;
    return {
      ...definition,
      columns: definition.columns.map((column) => {
        const noted = unnamed(column.type.kind, column.type.oid);
        if (noted === undefined) return column;
        return { ...column, type: { ...column.type, name: noted.name, schema: noted.schema } };
      }),
    };
  }
}

function header({ begin, origin }: OpenTransaction): TransactionHeader {
  const { commitLsn, xid, commitTimeUs } = begin;
  if (origin === undefined) return { commitLsn, xid, commitTimeUs };
  return { commitLsn, xid, commitTimeUs, origin: { name: origin.name, commitLsn: origin.commitLsn } };
}
