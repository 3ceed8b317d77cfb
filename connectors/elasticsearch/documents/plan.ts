import type { Rejection, SinkBatch } from '../../../src/delivery/sink.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { EventView } from '../../../src/events/change-event.ts';
import type { Position } from '../../../src/events/position.ts';
import { DELETE, type ElasticsearchRoute, INDEX, kindOf, type OperationKind, TRUNCATE } from './route.ts';
import { assertSpacing, lastSeqOfPiece, pieceOf, versionOf } from './versions.ts';

/**
 * An operation of a batch: the number of its item, or `~k` for the k-th operation carried over from the batch before.
 */
export type OperationRef = number;
export const NONE: OperationRef = -0x8000_0000;

/** An operation kept for the next batch: its transaction was cut in the middle of the piece it belongs to. */
export interface CarriedOperation {
  readonly kind: OperationKind;
  readonly route: ElasticsearchRoute;
  readonly id: string;
  readonly position: Position;
  readonly version: bigint;
  /** The piece ends with this event. */
  readonly pieceEndSeq: number;
  /** The document, for an index operation. */
  readonly document: Buffer | undefined;
  /** Names of columns that the document still lacks (unchanged TOAST values), and the document of the index that has them. */
  readonly missing: readonly string[];
  readonly sourceId: string;
}

export interface PlanInput {
  readonly batch: SinkBatch<ElasticsearchRoute>;
  readonly carried: readonly CarriedOperation[];
}

/**
 * What is to be done for a batch: at most one operation per document, the last one. Numbers per item in typed arrays, no object
 * per event. Pure: it looks at the batch only.
 */
export class BatchPlan {
  readonly batch: SinkBatch<ElasticsearchRoute>;
  readonly carried: readonly CarriedOperation[];
  /** Per item: its document. */
  readonly ids: string[] = [];
  /** Per item: the operation on the same document before it in this batch, or NONE. */
  readonly previous: Int32Array;
  /** Operations on a document, per index and id. */
  readonly documents = new Map<string, Map<string, OperationRef>>();
  /** The last TRUNCATE per index: what is written after it stays. */
  readonly truncates = new Map<string, OperationRef>();
  readonly rejected: Rejection[] = [];
  /** Items to carry into the next batch. */
  readonly carriedOn: OperationRef[] = [];
  /** Operations that overwrite or delete a document from which another one takes unchanged values. */
  readonly sources = new Set<OperationRef>();
  highestVersion = 0n;
  /** Of the batch's own events; undefined when it has none. */
  lowestVersion: bigint | undefined;

  /** Items that write a row under a new id. */
  readonly #moved: number[] = [];
  readonly #kinds: Uint8Array;
  readonly #live: Uint8Array;
  readonly #liveCarried: boolean[];
  readonly #versionAt: Int32Array;
  readonly #versions: bigint[] = [];
  /** Of the last transaction looked at. */
  #commitLsn = -1n;
  #piece = -1;

  constructor({ batch, carried }: PlanInput) {
    this.batch = batch;
    this.carried = carried;
    this.previous = new Int32Array(batch.count).fill(NONE);
    this.#kinds = new Uint8Array(batch.count);
    this.#live = new Uint8Array(batch.count);
    this.#versionAt = new Int32Array(batch.count);
    this.#liveCarried = carried.map(() => true);
    this.#take();
    this.#fold();
    this.#findSources();
    this.#carryOn();
  }

  kind(ref: OperationRef): OperationKind {
    return ref < 0 ? this.#carried(ref).kind : (this.#kinds[ref] as OperationKind);
  }

  /** False for what a later operation on the same document replaces, what is rejected, and what is carried on. */
  isLive(ref: OperationRef): boolean {
    return ref < 0 ? (this.#liveCarried[~ref] as boolean) : this.#live[ref] === 1;
  }

  id(ref: OperationRef): string {
    return ref < 0 ? this.#carried(ref).id : (this.ids[ref] as string);
  }

  version(ref: OperationRef): bigint {
    return ref < 0 ? this.#carried(ref).version : (this.#versions[this.#versionAt[ref] as number] as bigint);
  }

  route(ref: OperationRef): ElasticsearchRoute {
    return ref < 0 ? this.#carried(ref).route : this.batch.item(ref).route;
  }

  position(ref: OperationRef): Position {
    return ref < 0 ? this.#carried(ref).position : this.batch.item(ref).event.position;
  }

  /** Live operations in order: first the carried ones. */
  *operations(): Generator<OperationRef> {
    for (let k = 0; k < this.carried.length; k++) if (this.#liveCarried[k] === true) yield ~k;
    for (let i = 0; i < this.#live.length; i++) if (this.#live[i] === 1) yield i;
  }

  /** The operation that an update without all its values continues: on its own document, or on the one whose id the row had before. */
  predecessor(item: number): OperationRef {
    return this.previous[this.#movedRow(item) ? item - 1 : item] as OperationRef;
  }

  /** The document that held the row before the update at `item`. */
  sourceId(item: number): string {
    return this.ids[this.#movedRow(item) ? item - 1 : item] as string;
  }

  #movedRow(item: number): boolean {
    return this.batch.item(item).part === 1;
  }

  #carried(ref: OperationRef): CarriedOperation {
    return this.carried[~ref] as CarriedOperation;
  }

  #take(): void {
    this.carried.forEach((operation, k) => {
      const { destination } = operation.route;
      if (operation.kind === TRUNCATE) this.truncates.set(destination, ~k);
      else this.#table(destination).set(operation.id, ~k);
      if (operation.version > this.highestVersion) this.highestVersion = operation.version;
    });
  }

  #fold(): void {
    const { batch } = this;
    for (let i = 0; i < batch.count; i++) {
      const { event, route, part } = batch.item(i);
      this.#enterPiece(event);
      this.#versionAt[i] = this.#versions.length - 1;
      const kind = kindOf(route, event, part);
      this.#kinds[i] = kind;
      if (kind === TRUNCATE) {
        this.ids[i] = '';
        this.#truncate(route.destination, i);
        continue;
      }
      try {
        this.ids[i] = route.idOf(event, kind === DELETE ? 'before' : 'after');
      } catch (error) {
        this.ids[i] = '';
        this.reject(i, error);
        continue;
      }
      if (part === 1) this.#moved.push(i);
      this.#supersede(route.destination, i);
    }
    this.lowestVersion = this.#versions[0];
    const last = this.#versions.at(-1);
    if (last !== undefined && last > this.highestVersion) this.highestVersion = last;
  }

  #enterPiece(event: EventView): void {
    const { commitLsn, eventCount } = event.transaction;
    const piece = pieceOf(event.seq, eventCount);
    if (commitLsn !== this.#commitLsn) {
      if (this.#commitLsn >= 0n) assertSpacing(this.#commitLsn, commitLsn);
      this.#commitLsn = commitLsn;
    } else if (piece === this.#piece) return;
    this.#piece = piece;
    this.#versions.push(versionOf(commitLsn, piece));
  }

  /** The event can never be written. Throws what is not about the event. */
  reject(item: number, error: unknown): void {
    if (!(error instanceof TailraceError) || error.retriable) throw error;
    if (error.code !== 'E_UNSUPPORTED_ROW' && error.code !== 'E_ENCODING') throw error;
    this.#live[item] = 0;
    this.rejected.push({
      item,
      reason: error.code,
      detail: error.fix === undefined ? error.message : `${error.message} ${error.fix}`,
    });
  }

  #supersede(index: string, item: number): void {
    const table = this.#table(index);
    const id = this.ids[item] as string;
    const before = table.get(id);
    if (before !== undefined) {
      this.previous[item] = before;
      this.#drop(before);
    }
    table.set(id, item);
    this.#live[item] = 1;
  }

  /** Nothing before it needs to be written any more. */
  #truncate(index: string, item: number): void {
    const table = this.#table(index);
    for (const ref of table.values()) this.#drop(ref);
    table.clear();
    const before = this.truncates.get(index);
    if (before !== undefined) this.#drop(before);
    this.truncates.set(index, item);
    this.#live[item] = 1;
  }

  /** A moved row whose values are partly in its old document: the old document must outlive the writing of the new one. */
  #findSources(): void {
    for (const i of this.#moved) {
      if (this.#live[i] !== 1) continue;
      const { event, route } = this.batch.item(i);
      if (hasUnchanged(event)) this.#addSource(route.destination, this.rootId(i));
    }
    this.carried.forEach((operation, k) => {
      if (
        this.#liveCarried[k] === true &&
        operation.missing.length > 0 &&
        operation.sourceId !== operation.id
      ) {
        this.#addSource(operation.route.destination, operation.sourceId);
      }
    });
  }

  #addSource(index: string, id: string): void {
    const ref = this.documents.get(index)?.get(id);
    if (ref !== undefined) this.sources.add(ref);
  }

  /** The document of the index that held the row before all updates of this batch that continue it. */
  rootId(item: number): string {
    let at = item;
    for (;;) {
      const before = this.predecessor(at);
      if (before === NONE) return this.sourceId(at);
      if (before < 0) return this.#carried(before).sourceId;
      if (this.#kinds[before] !== INDEX) return this.ids[before] as string;
      at = before;
    }
  }

  /** In the middle of a transaction, what belongs to a piece that goes on waits for the rest of it. */
  #carryOn(): void {
    const { position, endLsn } = this.batch.to;
    if (endLsn > position.commitLsn) return;
    this.carried.forEach((operation, k) => {
      if (operation.position.commitLsn !== position.commitLsn || operation.pieceEndSeq <= position.seq)
        return;
      if (this.#liveCarried[k] === true) this.#moveOn(~k);
    });
    for (let i = this.batch.count - 1; i >= 0; i--) {
      const { event } = this.batch.item(i);
      if (event.commitLsn !== position.commitLsn || pieceEnd(event) <= position.seq) return;
      if (this.#live[i] === 1) this.#moveOn(i);
    }
  }

  #moveOn(ref: OperationRef): void {
    this.carriedOn.push(ref);
    this.#drop(ref);
  }

  #drop(ref: OperationRef): void {
    if (ref < 0) this.#liveCarried[~ref] = false;
    else this.#live[ref] = 0;
  }

  #table(index: string): Map<string, OperationRef> {
    let table = this.documents.get(index);
    if (table === undefined) this.documents.set(index, (table = new Map()));
    return table;
  }
}

/** `seq` of the last event in the piece of an event. */
export function pieceEnd(event: EventView): number {
  const { eventCount } = event.transaction;
  return lastSeqOfPiece(pieceOf(event.seq, eventCount), eventCount);
}

function hasUnchanged(event: EventView): boolean {
  const { columns } = event.relation;
  for (let i = 0; i < columns.length; i++) {
    if (columns[i]?.captured === true && event.column('after', i) === 'unchanged') return true;
  }
  return false;
}
