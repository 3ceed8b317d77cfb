import type { Clock } from '../clock.ts';
import { asTailraceError, TailraceError } from '../errors/tailrace-error.ts';
import type { EventLog, LogBatch, LogReader } from '../event-log/contract.ts';
import type { Lsn } from '../events/lsn.ts';
import { BEFORE_ALL, type Checkpoint, comparePositions } from '../events/position.ts';
import type { Relation } from '../events/relation.ts';
import type { Logger } from '../observe/logger.ts';
import { type DeadLetterLog, deadLetterOf, poison } from './dead-letters.ts';
import type { LaneMeter } from './lane-meter.ts';
import { type Progress, ProgressBatch } from './progress-batch.ts';
import { PATIENT, retry } from './retry.ts';
import type { RoutedBatch } from './routed-batch.ts';
import type { Router } from './router.ts';
import type { Capabilities, Sink, SinkBatch, WriteResult } from './sink.ts';
import { WakeableWait } from './wakeable-wait.ts';
import { WriteQueue } from './write-queue.ts';

/** A stored checkpoint also moves over events that were not for its sink, so that "behind the slot" always means a gap. */
const PROGRESS_INTERVAL_MS = 10_000;
const PROGRESS_BYTES = 64 * 1024 * 1024;

export type LaneState = 'opening' | 'streaming' | 'retrying' | 'stopped' | 'drained';

export interface LaneOptions {
  readonly name: string;
  readonly sink: Sink;
  readonly capabilities: Capabilities;
  readonly router: Router;
  readonly log: Pick<EventLog, 'read' | 'facts' | 'appended'>;
  readonly deadLetters: DeadLetterLog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly meter: LaneMeter;
}

/**
 * The loop that moves events from the log into one sink, in order, with retries; it disturbs no other lane. One object is
 * one life of a sink: open, run, and the end. Its checkpoint moves only to what the sink holds durably.
 *
 *   opening ──▶ streaming ◀──▶ retrying
 *      │            │  └──▶ drained     everything up to the drain target is durable
 *      └────────────┴─────▶ stopped     an error that only an operator can mend
 */
export class Lane {
  readonly name: string;
  readonly meter: LaneMeter;
  readonly positioned: boolean;
  readonly #options: LaneOptions;
  readonly #internal = new AbortController();
  readonly #movedListeners: (() => void)[] = [];

  #state: LaneState = 'opening';
  #opening: Promise<Checkpoint | undefined> | undefined;
  #opened = false;
  #error: TailraceError | undefined;
  /** What the sink holds for good, position included. */
  #durable: Checkpoint | undefined;
  /** What the sink has taken. */
  #accepted: Checkpoint | undefined;
  /** What has been read from the log and given to the sink, or was not for it. */
  #passed: Progress | undefined;
  #passedBytes = 0;
  #reached: Checkpoint | undefined;
  #oldestUs: bigint | undefined;
  #movedAtMs: number;
  #durableAtMs: number;
  #dirtySinceMs: number | undefined;

  readonly #writes = new WriteQueue();
  readonly #wait: WakeableWait;
  /** Where reading began: nothing below it is for this lane. */
  #beginsAt: Lsn = 0n;
  #drainTarget: Lsn | undefined;
  #progressAsked = false;

  constructor(options: LaneOptions) {
    this.name = options.name;
    this.meter = options.meter;
    this.positioned = options.capabilities.positioned;
    this.#options = options;
    this.#wait = new WakeableWait(options.clock);
    this.#durableAtMs = this.#movedAtMs = options.clock.monotonicMs();
  }

  get state(): LaneState {
    return this.#state;
  }

  /** Why it stopped, or what it is retrying. */
  get error(): TailraceError | undefined {
    return this.#error;
  }

  get durable(): Checkpoint | undefined {
    return this.#durable;
  }

  /** How far the sink has come, durable or not: everything up to here it has taken, or was not for it. */
  get reached(): Checkpoint | undefined {
    return this.#reached ?? this.#durable;
  }

  /** Commit time of the oldest change that waits for the sink, microseconds since 1970; undefined when none is known to. */
  get oldestWaitingUs(): bigint | undefined {
    return this.#oldestUs;
  }

  /** True while it reads the log, or has read what it was asked to. */
  get reading(): boolean {
    return this.#state !== 'opening' && this.#state !== 'stopped';
  }

  /** Monotonic clock: when something was last taken from the log or by the sink. */
  get movedAtMs(): number {
    return this.#movedAtMs;
  }

  /** `listener` is called whenever `durable` or the state has changed. */
  onMoved(listener: () => void): void {
    this.#movedListeners.push(listener);
  }

  /** True once the sink has told where it stands. */
  get opened(): boolean {
    return this.#opened;
  }

  /**
   * Opens the sink once, waiting as long as it takes; the stored checkpoint, undefined for a new target. Rejects when it can
   * never be opened.
   */
  open(signal: AbortSignal): Promise<Checkpoint | undefined> {
    this.#opening ??= this.#open(signal);
    return this.#opening;
  }

  async #open(signal: AbortSignal): Promise<Checkpoint | undefined> {
    const either = AbortSignal.any([signal, this.#internal.signal]);
    try {
      this.#durable = await this.#retry(() => this.#options.sink.open(either), either);
      this.meter.deadLetters(await this.#retry(() => this.#options.deadLetters.count(), either));
    } catch (thrown) {
      throw this.#stop(signal.aborted ? asTailraceError(signal.reason) : thrown);
    }
    this.#durableAtMs = this.#options.clock.monotonicMs();
    this.#opened = true;
    this.#error = undefined;
    return this.#durable;
  }

  /**
   * Runs until the drain target is durable, or rejects with what stopped it.
   * `start`: where reading begins; undefined for the log's beginning. `tables`: as they are now; their destinations are made before the
   * first event, unless events are waiting that were written when the tables may have been different.
   */
  async run(
    start: Checkpoint | undefined,
    signal: AbortSignal,
    tables: readonly Relation[] = [],
  ): Promise<void> {
    const stop = AbortSignal.any([signal, this.#internal.signal]);
    this.#durable ??= start;
    this.#beginsAt = start?.endLsn ?? this.#options.log.facts.startLsn;
    this.#setState('streaming', undefined);
    const reader = this.#options.log.read(start?.position, this.name);
    try {
      if (comparePositions(start?.position ?? BEFORE_ALL, this.#options.log.facts.last) >= 0) {
        await this.#retry(() => this.#options.router.prepare(tables, stop), stop);
      }
      await this.#loop(reader, stop);
      this.#setState('drained', undefined);
    } catch (thrown) {
      throw this.#stop(this.#internal.signal.aborted ? this.#internal.signal.reason : thrown);
    } finally {
      this.#internal.abort(
        this.#error ?? new TailraceError({ code: 'E_INTERNAL', message: `Lane ${this.name} has ended.` }),
      );
      await this.#writes.ended();
      await reader.close();
    }
  }

  /** Asks `run` to end when everything up to `target` is durable. */
  drain(target: Lsn): void {
    this.#drainTarget = target;
    this.#wait.wake();
  }

  /** Stores soon how far it has come: the log waits for it to be let go. */
  storeProgress(): void {
    this.#progressAsked = true;
    this.#wait.wake();
  }

  /** Ends the lane with an error from outside, which also takes the place of one that has stopped it before. */
  halt(error: TailraceError): void {
    this.#internal.abort(error);
    if (this.#state === 'opening' || this.#state === 'stopped') this.#setState('stopped', error);
  }

  close(): Promise<void> {
    return this.#options.sink.close();
  }

  async #loop(reader: LogReader, stop: AbortSignal): Promise<void> {
    const { maxBatchEvents, maxBatchBytes, maxTransactionBytes, lingerMs } = this.#options.capabilities;
    const limit = { maxEvents: maxBatchEvents, maxBytes: maxBatchBytes, maxTransactionBytes, lingerMs };
    let next: Promise<LogBatch> | undefined;
    try {
      while (!this.#drainReached()) {
        next ??= reader.next(limit, stop);
        const batch = await this.#wait.for(next, this.#housekeepingDueMs());
        stop.throwIfAborted();
        if (batch !== undefined) {
          next = undefined;
          await this.#handle(batch, stop);
        }
        await this.#housekeeping(stop);
      }
      await this.#makeDurable(stop);
    } finally {
      // The reader's own promise may still reject when the lane ends; nobody waits for it any more.
      next?.then((batch) => batch.release()).catch(() => {});
    }
  }

  async #handle(batch: LogBatch, stop: AbortSignal): Promise<void> {
    let given = false;
    try {
      // A message outside a transaction has no time.
      const firstUs = batch.count === 0 ? undefined : batch.event(0).transaction.commitTimeUs || undefined;
      if (this.#writes.length === 0) this.#oldestUs = firstUs;
      this.#movedAtMs = this.#options.clock.monotonicMs();
      const routed = await this.#retry(() => this.#options.router.route(batch, stop), stop);
      while (routed.count > 0 && this.#writes.length >= this.#options.capabilities.inFlight) {
        await this.#writes.oldest();
      }
      stop.throwIfAborted();
      this.#passed = { to: batch.to, wholeTransactions: batch.wholeTransactions };
      this.#passedBytes += batch.bytes;
      if (routed.count > 0) {
        given = true;
        this.#writes.add({
          batch,
          firstUs,
          written: this.#write(routed, stop),
          apply: (result) => this.#apply(result, batch, routed.count),
          failed: (error) => this.#internal.abort(error),
        });
      } else if (this.#writes.length === 0) {
        this.#arrive(batch);
      }
    } finally {
      if (!given) batch.release();
    }
  }

  async #write(batch: RoutedBatch, stop: AbortSignal): Promise<WriteResult> {
    const startedMs = this.#options.clock.monotonicMs();
    const result = await this.#retry(() => this.#options.sink.write(batch, stop), stop);
    this.meter.wrote(this.#options.clock.monotonicMs() - startedMs);
    if (result.rejected.length > 0) await this.#poisoned(batch, result, stop);
    return result;
  }

  async #poisoned(batch: SinkBatch, result: WriteResult, stop: AbortSignal): Promise<never> {
    const nowMs = this.#options.clock.nowMs();
    const letters = result.rejected.map((rejection) =>
      deadLetterOf(this.name, batch.item(rejection.item), rejection, nowMs),
    );
    await this.#retry(() => this.#options.deadLetters.add(letters), stop);
    this.meter.deadLetters(await this.#options.deadLetters.count());
    throw poison(this.name, letters, this.#options.deadLetters.path);
  }

  #apply(result: WriteResult, batch: LogBatch, items: number): void {
    this.#accepted = result.accepted;
    this.meter.delivered(batch.count, items);
    this.#arrive(batch);
    this.#dirtySinceMs ??= this.#options.clock.monotonicMs();
    if (result.durable !== undefined) this.#setDurable(result.durable);
    this.#wait.wake();
  }

  /** Everything up to the end of `batch` is with the sink or was not for it. */
  #arrive(batch: LogBatch): void {
    const idle = this.#writes.length === 0;
    this.#movedAtMs = this.#options.clock.monotonicMs();
    this.#reached = idle ? this.#passed?.to : batch.to;
    if (!idle) this.#oldestUs = this.#writes.oldestUs;
    // While there is more to be read, it is younger than what has just been delivered.
    else
      this.#oldestUs =
        batch.to.endLsn >= this.#options.log.appended ? undefined : batch.commitTimeUs || undefined;
  }

  #housekeepingDueMs(): number | undefined {
    if (!this.positioned) return undefined;
    const dirtyMs =
      this.#dirtySinceMs === undefined
        ? undefined
        : this.#dirtySinceMs + this.#options.capabilities.flushIntervalMs;
    const progressMs = this.#hasProgress() ? this.#durableAtMs + PROGRESS_INTERVAL_MS : undefined;
    if (dirtyMs === undefined) return progressMs;
    return progressMs === undefined ? dirtyMs : Math.min(dirtyMs, progressMs);
  }

  async #housekeeping(stop: AbortSignal): Promise<void> {
    if (!this.positioned) return;
    const dueMs = this.#housekeepingDueMs();
    const due = dueMs !== undefined && dueMs <= this.#options.clock.monotonicMs();
    const asked = this.#progressAsked || this.#passedBytes >= PROGRESS_BYTES;
    this.#progressAsked = false;
    if (due || (asked && this.#hasProgress())) await this.#makeDurable(stop);
  }

  #hasProgress(): boolean {
    return this.#passed !== undefined && !sameCheckpoint(this.#passed.to, this.#durable);
  }

  /** Everything written so far is settled, the checkpoint is moved to what has been read, and stored. */
  async #makeDurable(stop: AbortSignal): Promise<void> {
    await this.#writes.applied();
    if (!this.positioned || this.#passed === undefined) return;
    const progress = this.#passed;
    const { to } = progress;
    if (sameCheckpoint(to, this.#durable) && this.#dirtySinceMs === undefined) return;
    if (!sameCheckpoint(to, this.#accepted)) {
      const batch = new ProgressBatch(progress);
      const result = await this.#retry(() => this.#options.sink.write(batch, stop), stop);
      this.#accepted = result.accepted;
    }
    const stored = await this.#retry(() => this.#options.sink.flush(stop), stop);
    this.#dirtySinceMs = undefined;
    // A sink that stores whole transactions only is still at the end of the last one.
    this.#setDurable(stored ?? this.#durable);
  }

  #setDurable(checkpoint: Checkpoint | undefined): void {
    this.#durable = checkpoint;
    this.#passedBytes = 0;
    this.#durableAtMs = this.#options.clock.monotonicMs();
    if (checkpoint !== undefined && sameCheckpoint(checkpoint, this.#accepted))
      this.#dirtySinceMs = undefined;
    this.#moved();
  }

  #drainReached(): boolean {
    const read = this.#passed?.to.endLsn ?? this.#durable?.endLsn ?? this.#beginsAt;
    return this.#drainTarget !== undefined && read >= this.#drainTarget;
  }

  #retry<T>(operation: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return retry(
      async () => {
        const result = await operation();
        if (this.#state === 'retrying') this.#setState('streaming', undefined);
        return result;
      },
      {
        clock: this.#options.clock,
        signal,
        backoff: PATIENT,
        onRetry: (error, attempt, delayMs) => {
          this.meter.retried();
          if (this.#state !== 'opening') this.#setState('retrying', error);
          else this.#error = error;
          this.#options.logger.warn(
            { sink: this.name, code: error.code, attempt, delayMs, err: error },
            `sink ${this.name} is not available, trying again`,
          );
        },
      },
    );
  }

  #stop(thrown: unknown): TailraceError {
    const error = asTailraceError(thrown);
    if (this.#state !== 'stopped') this.#setState('stopped', error);
    return error;
  }

  #setState(state: LaneState, error: TailraceError | undefined): void {
    this.#state = state;
    this.#error = error;
    this.#moved();
  }

  #moved(): void {
    for (const listener of this.#movedListeners) listener();
  }
}

function sameCheckpoint(a: Checkpoint, b: Checkpoint | undefined): boolean {
  return b !== undefined && a.endLsn === b.endLsn && comparePositions(a.position, b.position) === 0;
}
