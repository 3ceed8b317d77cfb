import { isDeepStrictEqual } from 'node:util';
import type { EventKind, LogWriter, TransactionHeader } from '../../../src/event-log/contract.ts';
import type { Lsn } from '../../../src/events/lsn.ts';
import type { Relation, RelationDefinition } from '../../../src/events/relation.ts';
import { FrameEventView } from '../../../src/events/tuple/frame-event-view.ts';

export interface RecordedEvent {
  readonly relation: Relation;
  readonly kind: EventKind;
  readonly walLsn: Lsn;
  readonly body: Buffer;
}

export interface RecordedTransaction extends TransactionHeader {
  readonly endLsn: Lsn;
  readonly events: readonly RecordedEvent[];
}

export type RecordedMessage = { readonly lsn: Lsn; readonly body: Buffer };

/**
 * The event log's writing side in memory, for tests of what is written. Holds its caller to the contract: a call that the log does not allow throws.
 */
export class RecordingLog implements LogWriter {
  readonly transactions: RecordedTransaction[] = [];
  readonly messages: RecordedMessage[] = [];
  readonly relations: Relation[] = [];
  /** Positions given to progress(), whether or not they moved anything. */
  readonly marks: Lsn[] = [];
  rollbacks = 0;
  appended: Lsn;
  #open: { readonly header: TransactionHeader; readonly events: RecordedEvent[] } | undefined;
  #gate: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  readonly #listeners: (() => void)[] = [];

  constructor(appended: Lsn = 0n) {
    this.appended = appended;
  }

  /** A disk that is never behind. */
  get synced(): Lsn {
    return this.appended;
  }

  get inTransaction(): boolean {
    return this.#open !== undefined;
  }

  /** Events of the transaction that has not committed yet. */
  get openEvents(): readonly RecordedEvent[] {
    return this.#open?.events ?? [];
  }

  /** All committed events in order. */
  get events(): readonly RecordedEvent[] {
    return this.transactions.flatMap(({ events }) => events);
  }

  /** Makes `ready()` ask to wait, as a full log does. */
  close(): void {
    this.#gate ??= Promise.withResolvers<void>();
  }

  open(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  relation(definition: RelationDefinition): Relation {
    const { version: _, ...known } = this.relations.findLast(({ oid }) => oid === definition.oid) ?? {
      version: 0,
    };
    const last = this.relations.findLast(({ oid }) => oid === definition.oid);
    if (last !== undefined && isDeepStrictEqual(known, definition)) return last;
    const relation = { ...definition, version: this.relations.length + 1 };
    this.relations.push(relation);
    return relation;
  }

  begin(header: TransactionHeader): void {
    if (this.#open !== undefined) throw new Error('begin inside a transaction');
    if (header.commitLsn < this.appended) throw new Error('a transaction that the log already has');
    this.#open = { header, events: [] };
  }

  append({ relation, kind, walLsn, body, start, end }: Parameters<LogWriter['append']>[0]): void {
    if (this.#open === undefined) throw new Error('append outside a transaction');
    if (!this.relations.includes(relation)) throw new Error('append under an unknown relation');
    this.#open.events.push({ relation, kind, walLsn, body: Buffer.from(body.subarray(start, end)) });
  }

  commit(endLsn: Lsn): void {
    if (this.#open === undefined) throw new Error('commit outside a transaction');
    const { header, events } = this.#open;
    if (endLsn <= header.commitLsn) throw new Error('a commit that ends before it begins');
    this.transactions.push({ ...header, endLsn, events });
    this.#open = undefined;
    this.#moved(endLsn);
  }

  message(lsn: Lsn, body: Uint8Array): void {
    this.messages.push({ lsn, body: Buffer.from(body) });
  }

  rollback(): void {
    if (this.#open === undefined) throw new Error('rollback outside a transaction');
    this.#open = undefined;
    this.rollbacks += 1;
  }

  progress(endLsn: Lsn): void {
    if (this.#open !== undefined) throw new Error('progress inside a transaction');
    this.marks.push(endLsn);
    this.#moved(endLsn);
  }

  ready(): Promise<void> | undefined {
    return this.#gate?.promise;
  }

  onSynced(listener: () => void): void {
    this.#listeners.push(listener);
  }

  #moved(endLsn: Lsn): void {
    if (endLsn <= this.appended) return;
    this.appended = endLsn;
    for (const listener of this.#listeners) listener();
  }
}

/** `insert public.t [before] -> [after]` with every column's text; for comparing at a glance. */
export function describeEvent(event: RecordedEvent): string {
  const { relation, kind, body } = event;
  const view = new FrameEventView();
  view.point({
    op: kind,
    relation,
    transaction: { xid: 0, commitTimeUs: 0n, commitLsn: 0n, endLsn: 0n, eventCount: 0 },
    seq: 0,
    walLsnHigh: 0,
    walLsnLow: 0,
    buffer: body,
    start: 0,
    end: body.length,
  });
  if (kind === 'message') {
    const { prefix, content, transactional } = view.message;
    return `message ${prefix} ${content.toString()}${transactional ? '' : ' (not transactional)'}`;
  }
  const table = `${relation.schema}.${relation.table}`;
  if (kind === 'truncate') {
    const { cascade, restartIdentity } = view.truncateOptions;
    return `truncate ${table}${cascade ? ' cascade' : ''}${restartIdentity ? ' restart identity' : ''}`;
  }
  const image = (side: 'before' | 'after'): string =>
    `(${relation.columns
      .map((_, i) => {
        const state = view.column(side, i);
        return state === 'value' ? view.text() : state;
      })
      .join(', ')})`;
  const before = view.beforeImage === 'none' ? '' : ` ${view.beforeImage} ${image('before')}`;
  return `${kind} ${table}${before}${view.hasAfter ? ` -> ${image('after')}` : ''}`;
}
