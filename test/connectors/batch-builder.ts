import { systemClock } from '../../src/clock.ts';
import type { Mapping, Route, SinkBatch, SinkContext, SinkItem } from '../../src/delivery/sink.ts';
import type { Op, TransactionInfo } from '../../src/events/change-event.ts';
import { BEFORE_ALL, type Checkpoint, comparePositions, type Position } from '../../src/events/position.ts';
import type { ColumnType, Relation, RelationColumn, ReplicaIdentity } from '../../src/events/relation.ts';
import { type FrameEvent, FrameEventView } from '../../src/events/tuple/frame-event-view.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { noMetrics } from '../../src/observe/metrics.ts';
import { columnType } from './column-types.ts';

/** A TOASTed value the UPDATE did not touch. */
export const UNCHANGED: unique symbol = Symbol('unchanged');
/** Dropped by the capture. */
export const NOT_CAPTURED: unique symbol = Symbol('not-captured');

/** One column: PostgreSQL's text (bytes where it is not UTF-8), null, or one of the markers. A column left out is null. */
export type Cell = string | Buffer | null | typeof UNCHANGED | typeof NOT_CAPTURED;
export type Row = Readonly<Record<string, Cell>>;

export interface ColumnSpec {
  /** A built-in typname (`int8`, `_text`) or a whole type. */
  readonly type: string | ColumnType;
  readonly nullable?: boolean | undefined;
  readonly captured?: boolean | undefined;
  readonly attnum?: number | undefined;
}

export interface RelationSpec {
  readonly schema?: string | undefined;
  readonly table: string;
  /** By name, in tuple order. */
  readonly columns: Readonly<Record<string, string | ColumnSpec>>;
  /** Names of the event key's columns, in key order; default none. */
  readonly key?: readonly string[] | undefined;
  readonly replicaIdentity?: ReplicaIdentity | undefined;
  readonly oid?: number | undefined;
  readonly version?: number | undefined;
}

let lastVersion = 0;

/** Every call gives a new relation version unless told. */
export function relation(spec: RelationSpec): Relation {
  const replicaIdentity = spec.replicaIdentity ?? 'default';
  const names = Object.keys(spec.columns);
  const key = (spec.key ?? []).map((name) => {
    const at = names.indexOf(name);
    if (at < 0) throw new Error(`No column ${name}`);
    return at;
  });
  const columns = names.map((name, i): RelationColumn => {
    const given = spec.columns[name] as string | ColumnSpec;
    const column: ColumnSpec = typeof given === 'string' ? { type: given } : given;
    return {
      name,
      attnum: column.attnum ?? i + 1,
      type: typeof column.type === 'string' ? columnType(column.type) : column.type,
      inIdentity: replicaIdentity === 'full' || key.includes(i),
      nullable: column.nullable ?? !key.includes(i),
      captured: column.captured ?? true,
    };
  });
  lastVersion = Math.max(lastVersion + 1, spec.version ?? 0);
  return {
    oid: spec.oid ?? 16_384,
    schema: spec.schema ?? 'public',
    table: spec.table,
    replicaIdentity,
    columns,
    key,
    version: spec.version ?? lastVersion,
  };
}

/** What an event without a table (a logical message) carries. */
export const messageRelation: Relation = {
  oid: 0,
  schema: '',
  table: '',
  replicaIdentity: 'nothing',
  columns: [],
  key: [],
  version: 0,
};

export interface UpdateOptions {
  /** The whole old row (REPLICA IDENTITY FULL). */
  readonly before?: Row | undefined;
  /** Only the identity's columns of the old row: sent when they changed. */
  readonly oldKey?: Row | undefined;
}

/** The events of one transaction, collected inside `EventScript.transaction`. */
export class TransactionScript {
  readonly events: { op: Op; relation: Relation; body: Buffer }[] = [];

  insert(table: Relation, after: Row): void {
    this.#add('insert', table, newTuple(table, after));
  }
  /** A row read by a backfill. */
  read(table: Relation, after: Row): void {
    this.#add('read', table, newTuple(table, after));
  }
  update(table: Relation, after: Row, { before, oldKey }: UpdateOptions = {}): void {
    const parts = [newTuple(table, after)];
    if (before !== undefined) parts.unshift(Buffer.from('O'), tuple(table, before));
    else if (oldKey !== undefined) parts.unshift(Buffer.from('K'), keyTuple(table, oldKey));
    this.#add('update', table, Buffer.concat(parts));
  }
  /** `before`: the key's columns, or the whole row when the relation's identity is full. */
  delete(table: Relation, before: Row): void {
    const full = table.replicaIdentity === 'full';
    this.#add(
      'delete',
      table,
      Buffer.concat([Buffer.from(full ? 'O' : 'K'), full ? tuple(table, before) : keyTuple(table, before)]),
    );
  }
  truncate(table: Relation, options: { cascade?: boolean; restartIdentity?: boolean } = {}): void {
    const flags = (options.cascade === true ? 1 : 0) | (options.restartIdentity === true ? 2 : 0);
    this.#add('truncate', table, Buffer.from([flags]));
  }
  message(prefix: string, content: string | Buffer): void {
    this.#add('message', messageRelation, messageBody(prefix, content, true));
  }

  #add(op: Op, table: Relation, body: Buffer): void {
    this.events.push({ op, relation: table, body });
  }
}

export interface BatchOptions<R extends Route> {
  /** The routes of an event's relation; default none (the batch then only moves the checkpoint). */
  readonly routes?: ((table: Relation) => readonly R[]) | undefined;
  /** Events after this position; default everything. */
  readonly after?: Position | undefined;
  /** Whole transactions up to this one (counted from the first after `after`); default all. */
  readonly transactions?: number | undefined;
  /** Cuts after so many events, also inside a transaction. */
  readonly events?: number | undefined;
}

/** Committed transactions in memory, and the batches a lane would make of them. */
export class EventScript {
  readonly source: string;
  readonly events: FrameEvent[] = [];
  readonly #ends: { readonly last: Position; readonly endLsn: bigint; readonly commitTimeUs: bigint }[] = [];
  #lsn: bigint;
  #xid = 700;
  #commitTimeUs: bigint;

  constructor(options: { source?: string; startLsn?: bigint; commitTimeUs?: bigint } = {}) {
    this.source = options.source ?? '7419340581927034881/16384#1';
    this.#lsn = options.startLsn ?? 0x016b_3748n;
    this.#commitTimeUs = options.commitTimeUs ?? 1_760_000_000_000_000n;
  }

  /** Appends one committed transaction and returns it as its events will show it. */
  transaction(
    write: (tx: TransactionScript) => void,
    options: Pick<TransactionInfo, 'origin'> = {},
  ): TransactionInfo {
    const script = new TransactionScript();
    write(script);
    const firstLsn = this.#lsn;
    // Records are 8-byte aligned; a commit record takes at least 40 bytes.
    this.#lsn += BigInt(script.events.length) * 64n;
    const commitLsn = this.#lsn;
    this.#lsn += 48n;
    this.#commitTimeUs += 1_000n;
    const transaction: TransactionInfo = {
      xid: this.#xid++,
      commitTimeUs: this.#commitTimeUs,
      commitLsn,
      endLsn: this.#lsn,
      eventCount: script.events.length,
      ...options,
    };
    for (const [i, event] of script.events.entries()) {
      this.#push({ ...event, seq: i + 1, walLsn: firstLsn + BigInt(i) * 64n, transaction });
    }
    this.#ends.push({
      last: { commitLsn, seq: script.events.length },
      endLsn: this.#lsn,
      commitTimeUs: this.#commitTimeUs,
    });
    return transaction;
  }

  /** A logical message outside a transaction: an event of its own at (its LSN, 0). */
  message(prefix: string, content: string | Buffer): void {
    const lsn = this.#lsn;
    this.#lsn += 64n;
    const transaction: TransactionInfo = {
      xid: 0,
      commitTimeUs: this.#commitTimeUs,
      commitLsn: lsn,
      endLsn: this.#lsn,
      eventCount: 1,
    };
    const body = messageBody(prefix, content, false);
    this.#push({ op: 'message', relation: messageRelation, body, seq: 0, walLsn: lsn, transaction });
    this.#ends.push({
      last: { commitLsn: lsn, seq: 0 },
      endLsn: this.#lsn,
      commitTimeUs: this.#commitTimeUs,
    });
  }

  #push(event: {
    op: Op;
    relation: Relation;
    body: Buffer;
    seq: number;
    walLsn: bigint;
    transaction: TransactionInfo;
  }): void {
    const { body, walLsn, ...rest } = event;
    this.events.push({
      ...rest,
      walLsnHigh: Number(walLsn >> 32n),
      walLsnLow: Number(walLsn & 0xffff_ffffn),
      buffer: body,
      start: 0,
      end: body.length,
    });
  }

  /** The checkpoint of a holder of everything so far. */
  get end(): Checkpoint {
    const last = this.#ends.at(-1);
    return { position: last?.last ?? BEFORE_ALL, endLsn: last?.endLsn ?? this.#lsn, source: this.source };
  }

  /** Valid for as long as you like; its items are one reused cursor, as a lane's are. */
  batch<R extends Route>(options: BatchOptions<R> = {}): SinkBatch<R> {
    const after = options.after ?? { commitLsn: 0n, seq: -1 };
    const lastEnd = this.#ends.filter(({ last }) => comparePositions(last, after) > 0)[
      (options.transactions ?? Infinity) - 1
    ];
    let events = this.events.filter(
      ({ transaction: { commitLsn }, seq }) =>
        comparePositions({ commitLsn, seq }, after) > 0 &&
        (lastEnd === undefined || comparePositions({ commitLsn, seq }, lastEnd.last) <= 0),
    );
    let position = lastEnd?.last ?? this.end.position;
    if (options.events !== undefined && events.length > options.events) {
      events = events.slice(0, options.events);
      const last = events.at(-1);
      if (last === undefined) throw new Error('A batch cut before its first event.');
      position = { commitLsn: last.transaction.commitLsn, seq: last.seq };
    }
    const end = this.#ends.find(({ last }) => comparePositions(last, position) === 0);
    const endBefore = this.#ends.findLast(({ last }) => comparePositions(last, position) < 0);
    const to: Checkpoint = {
      position,
      endLsn: (end ?? endBefore)?.endLsn ?? 0n,
      source: this.source,
    };
    const commitTimeUs = events.at(-1)?.transaction.commitTimeUs ?? this.#commitTimeUs;
    return makeBatch({
      events,
      to,
      commitTimeUs,
      wholeTransactions: end !== undefined,
      routes: options.routes,
    });
  }
}

function makeBatch<R extends Route>(input: {
  readonly events: readonly FrameEvent[];
  readonly to: Checkpoint;
  readonly commitTimeUs: bigint;
  readonly wholeTransactions: boolean;
  readonly routes?: ((table: Relation) => readonly R[]) | undefined;
}): SinkBatch<R> {
  const { to, commitTimeUs, wholeTransactions, routes = () => [] } = input;
  const view = new FrameEventView();
  const items: { readonly event: FrameEvent; readonly route: R; readonly part: number }[] = [];
  for (const event of input.events) {
    for (const route of routes(event.relation)) {
      view.point(event);
      const parts = route.parts(view);
      for (let part = 0; part < parts; part++) items.push({ event, route, part });
    }
  }
  const cursor: { -readonly [K in keyof SinkItem<R>]?: SinkItem<R>[K] } = {};
  return {
    to,
    wholeTransactions,
    count: items.length,
    commitTimeUs,
    item: (i) => {
      const item = items[i];
      if (item === undefined) throw new RangeError(`Item ${i} of ${items.length}`);
      view.point(item.event);
      cursor.event = view;
      cursor.route = item.route;
      cursor.part = item.part;
      return cursor as SinkItem<R>;
    },
  };
}

/** One line of `to:`; options default to none. */
export function mapping<M = Record<string, never>>(
  given: Partial<Mapping<M>> & { readonly options?: M } = {},
): Mapping<M> {
  const table = given.table ?? 'public.orders';
  const sink = given.sink ?? 'sink';
  return {
    id: `${table} -> ${sink}`,
    table,
    sink,
    where: 'tailrace.yaml:12:9',
    ...given,
    options: given.options ?? ({} as M),
  };
}

export function sinkContext(given: Partial<SinkContext> & Pick<SinkContext, 'dataDir'>): SinkContext {
  return {
    pipeline: 'shop',
    name: 'sink',
    source: '7419340581927034881/16384#1',
    database: 'shop',
    version: '0.0.0-test',
    runId: '00000000-0000-4000-8000-000000000000',
    baseDir: given.dataDir,
    logger: silentLogger,
    metrics: noMetrics,
    clock: systemClock,
    ...given,
  };
}

function newTuple(table: Relation, row: Row): Buffer {
  return Buffer.concat([Buffer.from('N'), tuple(table, row)]);
}

/** The server sends null for what is not in the identity. */
function keyTuple(table: Relation, row: Row): Buffer {
  const identity = table.columns.filter(({ inIdentity }) => inIdentity).map(({ name }) => name);
  const missing = identity.filter((name) => row[name] === undefined);
  if (missing.length > 0) throw new Error(`The old key of ${table.table} lacks ${missing.join(', ')}`);
  return tuple(table, Object.fromEntries(identity.map((name) => [name, row[name] ?? null])));
}

function tuple(table: Relation, row: Row): Buffer {
  const unknown = Object.keys(row).filter((name) => !table.columns.some((column) => column.name === name));
  if (unknown.length > 0) throw new Error(`${table.table} has no column ${unknown.join(', ')}`);
  const count = Buffer.alloc(2);
  count.writeUInt16BE(table.columns.length);
  return Buffer.concat([count, ...table.columns.map(({ name }) => cell(row[name] ?? null))]);
}

function cell(value: Cell): Buffer {
  if (value === null) return Buffer.from('n');
  if (value === UNCHANGED) return Buffer.from('u');
  if (value === NOT_CAPTURED) return Buffer.from('x');
  const text = Buffer.from(value);
  const head = Buffer.from('t0000');
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, text]);
}

function messageBody(prefix: string, content: string | Buffer, transactional: boolean): Buffer {
  const bytes = Buffer.from(content);
  const head = Buffer.alloc(9);
  head[0] = transactional ? 1 : 0;
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([head, Buffer.from(prefix), Buffer.from([0]), length, bytes]);
}
