import type { SinkBatch } from '../../../src/delivery/sink.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { ByteWriter } from '../../../src/events/byte-writer.ts';
import { type Checkpoint, formatPosition } from '../../../src/events/position.ts';
import type { ServerError } from '../answers.ts';
import type { BulkLimits } from '../bulk/bulk-limits.ts';
import { BulkQueue } from '../bulk/bulk-queue.ts';
import type { BulkListener, BulkSender } from '../bulk/bulk-sender.ts';
import { explain, rejectionOf } from '../bulk/explain-rejection.ts';
import type { ElasticsearchClient } from '../client.ts';
import { type AwaitedRows, incompleteRow } from '../documents/awaited-rows.ts';
import { type Completion, completeFromIndex, type IncompleteRow } from '../documents/complete-rows.ts';
import { BatchPlan, type CarriedOperation, type OperationRef } from '../documents/plan.ts';
import { type ElasticsearchRoute, TRUNCATE } from '../documents/route.ts';
import type { Flavour } from '../documents/scan.ts';
import type { PositionDocument } from '../position/position-document.ts';
import { confirmConflicts } from './confirm-conflicts.ts';
import { appendDocument, carryOn, encodeOperation } from './encode-operation.ts';
import { truncateIndex } from './truncate-index.ts';
import { until } from './until.ts';

export interface WriteTools {
  readonly client: ElasticsearchClient;
  readonly flavour: Flavour;
  readonly sender: BulkSender;
  readonly limits: BulkLimits;
  /** Bulk requests of one write on their way at once. */
  readonly inFlight: number;
  /** Buffers not in use, for bodies. */
  readonly buffers: ByteWriter[];
  readonly position: PositionDocument;
  readonly awaited: AwaitedRows;
  /** Versions up to this one may have been issued before this start. */
  readonly repeatedUpTo: bigint;
  readonly meter: {
    conflicts(count: number): void;
    completed(rows: number): void;
    truncated(documents: number): void;
  };
}

/**
 * One batch on its way. It can be run again after a failure: what is done stays done.
 *
 *   1. documents that no earlier write has on its way
 *   2. when those are through: the other ones, then rows that take unchanged values from the index
 *   3. documents that such a row has taken its values from
 *   4. TRUNCATEs: whatever is older goes
 */
export class WriteJob {
  readonly to: Checkpoint;
  readonly plan: BatchPlan;
  /** For the next batch: the transaction goes on in the middle of a piece. */
  readonly carriedOn: readonly CarriedOperation[];
  /** Resolves when all of it is in the index. */
  readonly finished: Promise<void>;
  #finish: () => void = () => {};
  readonly #tools: WriteTools;
  /** Per item, then per carried operation. */
  readonly #done: Uint8Array;
  #conflicts: OperationRef[] = [];
  #failure: TailraceError | undefined;
  readonly #listener: BulkListener = {
    done: (ref) => this.#markDone(ref),
    conflict: (ref) => {
      this.#conflicts.push(ref);
    },
    rejected: (ref, error) => this.#reject(ref, error),
  };

  constructor(batch: SinkBatch<ElasticsearchRoute>, carried: readonly CarriedOperation[], tools: WriteTools) {
    this.to = batch.to;
    this.#tools = tools;
    this.plan = new BatchPlan({ batch, carried });
    this.#done = new Uint8Array(batch.count + carried.length);
    this.carriedOn = carryOn(this.plan);
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  finish(): void {
    this.#finish();
  }

  /**
   * `earlier`: writes before this one that have not finished. Operations refused for good are in `plan.rejected` afterwards.
   */
  async run(earlier: readonly WriteJob[], signal: AbortSignal): Promise<void> {
    const { plan } = this;
    const allEarlier = (): Promise<unknown> =>
      until(Promise.all(earlier.map(({ finished }) => finished)), signal);
    this.#conflicts = [];
    if (this.#repetitionIsOver()) {
      await allEarlier();
      this.#tools.awaited.requireNone();
    }
    if (plan.highestVersion > 0n) await this.#tools.position.reserve(plan.highestVersion, signal);

    const queue = this.#queue(signal);
    const incomplete: IncompleteRow[] = [];
    const held: OperationRef[] = [];
    const sources: OperationRef[] = [];
    const truncates: OperationRef[] = [];
    for (const ref of plan.operations()) {
      if (this.#done[this.#at(ref)] === 1) continue;
      if (plan.kind(ref) === TRUNCATE) truncates.push(ref);
      else if (plan.sources.has(ref)) sources.push(ref);
      else if (earlier.length > 0 && this.#isHeldBy(earlier, ref)) held.push(ref);
      else await this.#enqueue(ref, queue, incomplete);
    }
    await queue.drain();

    if (held.length + sources.length + incomplete.length + truncates.length > 0) await allEarlier();
    for (const ref of held) await this.#enqueue(ref, queue, incomplete);
    await queue.drain();
    await this.#sendIncomplete({ incomplete, sources, queue, signal });
    await this.#confirmConflicts(signal);
    for (const ref of truncates) await this.#truncate(ref, signal);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #queue(signal: AbortSignal): BulkQueue {
    const { sender, limits, inFlight, buffers } = this.#tools;
    return new BulkQueue({ sender, limits, inFlight, buffers, listener: this.#listener, signal });
  }

  async #enqueue(ref: OperationRef, queue: BulkQueue, incomplete: IncompleteRow[]): Promise<void> {
    const row = encodeOperation(this.plan, ref, queue.body);
    if (row === undefined) await queue.written(this.plan.route(ref).destination);
    else incomplete.push(row);
  }

  /** Values are read before anything of them is overwritten; what they were read from is overwritten last. */
  async #sendIncomplete(input: {
    readonly incomplete: readonly IncompleteRow[];
    readonly sources: readonly OperationRef[];
    readonly queue: BulkQueue;
    readonly signal: AbortSignal;
  }): Promise<void> {
    const { sources, queue, signal } = input;
    const { plan } = this;
    const rows = [...input.incomplete];
    const last = this.#queue(signal);
    const held: { readonly ref: OperationRef; readonly document: Buffer }[] = [];
    for (const ref of sources) {
      const row = encodeOperation(plan, ref, last.body);
      if (row !== undefined) rows.push(row);
    }
    if (rows.length > 0) {
      await completeFromIndex({ client: this.#tools.client, plan, rows, signal }, async (row, completion) => {
        if (completion.outcome !== 'complete') {
          this.#takeFailedCompletion(row, completion);
          return;
        }
        this.#tools.meter.completed(1);
        const { ref } = row;
        if (plan.sources.has(ref)) held.push({ ref, document: completion.document });
        else {
          appendDocument(plan, ref, completion.document, queue.body);
          await queue.written(plan.route(ref).destination);
        }
      });
    }
    await queue.drain();
    for (const { ref, document } of held) {
      appendDocument(plan, ref, document, last.body);
      await last.written(plan.route(ref).destination);
    }
    await last.drain();
  }

  #takeFailedCompletion(row: IncompleteRow, completion: Exclude<Completion, { outcome: 'complete' }>): void {
    const { ref } = row;
    if (completion.outcome === 'superseded') {
      this.#conflicts.push(ref);
      return;
    }
    const { awaited, position, repeatedUpTo } = this.#tools;
    const { destination, relation } = this.plan.route(ref);
    const where = {
      index: destination,
      relation,
      position: this.plan.position(ref),
      missing: completion.missing,
    };
    const repeated = this.plan.version(ref) <= repeatedUpTo && !position.wasRefused(where.position);
    if (completion.outcome === 'absent' && repeated) {
      awaited.add(this.plan.id(ref), where);
      this.#done[this.#at(ref)] = 1;
    } else if (ref >= 0) this.plan.reject(ref, incompleteRow(where));
    else this.#failure ??= incompleteRow(where);
  }

  async #confirmConflicts(signal: AbortSignal): Promise<void> {
    const conflicts = this.#conflicts;
    if (conflicts.length === 0) return;
    const { client, position, meter } = this.#tools;
    await confirmConflicts({
      client,
      plan: this.plan,
      conflicts,
      issued: position.reserved,
      signal,
      onConfirmed: (ref) => this.#markDone(ref),
    });
    meter.conflicts(conflicts.length);
  }

  async #truncate(ref: OperationRef, signal: AbortSignal): Promise<void> {
    const { client, flavour, sender, awaited, meter } = this.#tools;
    const route = this.plan.route(ref);
    const version = this.plan.version(ref);
    meter.truncated(await truncateIndex({ client, flavour, sender, route, version, signal }));
    awaited.truncated(route.destination);
    this.#done[this.#at(ref)] = 1;
  }

  /** Rows that wait for their repeated deletion must have met it by the first event that is new. */
  #repetitionIsOver(): boolean {
    const { awaited, repeatedUpTo } = this.#tools;
    const { lowestVersion } = this.plan;
    return awaited.size > 0 && lowestVersion !== undefined && lowestVersion > repeatedUpTo;
  }

  #isHeldBy(earlier: readonly WriteJob[], ref: OperationRef): boolean {
    const index = this.plan.route(ref).destination;
    const id = this.plan.id(ref);
    for (const { plan } of earlier) if (plan.documents.get(index)?.has(id) === true) return true;
    return false;
  }

  #at(ref: OperationRef): number {
    return ref >= 0 ? ref : this.plan.batch.count + ~ref;
  }

  #markDone(ref: OperationRef): void {
    this.#done[this.#at(ref)] = 1;
    const { awaited } = this.#tools;
    if (awaited.size > 0) awaited.settled(this.plan.route(ref).destination, this.plan.id(ref));
  }

  #reject(ref: OperationRef, error: ServerError): void {
    const { relation } = this.plan.route(ref);
    if (ref >= 0) {
      this.#done[ref] = 1;
      this.plan.rejected.push(rejectionOf(ref, error, relation));
      return;
    }
    // Its own batch has been answered already.
    this.#failure ??= new TailraceError({
      code: 'E_POISON',
      message:
        `A row of ${relation.schema}.${relation.table} at ${formatPosition(this.plan.position(ref))} is refused for good: ` +
        `${error.type} (${explain(error, relation)}).`,
      fix: 'Mend the index or the mapping of the table, then start again.',
    });
  }
}
