import type { Clock } from '../clock.ts';
import type { Lane } from '../delivery/lane.ts';
import { type Backoff, backoffMs, PATIENT } from '../delivery/retry.ts';
import { asTailraceError, TailraceError } from '../errors/tailrace-error.ts';
import type { EventLog } from '../event-log/contract.ts';
import type { Lsn } from '../events/lsn.ts';
import type { Checkpoint } from '../events/position.ts';
import type { Relation } from '../events/relation.ts';
import type { Logger } from '../observe/logger.ts';
import { Acker } from './acker.ts';
import type { WalBudget } from './confirmable.ts';
import { refuseSink, requireOwnLog, type SinkFacts } from './decide-start.ts';
import { GatedWriter } from './gated-writer.ts';
import { LaneGroup } from './lane-group.ts';
import type { Source, SourceFacts } from './source.ts';
import { type Start, settleStart } from './startup.ts';

const TICK_MS = 1000;
/** Ticks between two looks at what the log may let go of, while there is room. */
const RELEASE_TICKS = 5;
/** Ticks the log stays at its limit before a sink is given up: the sinks may be about to let go of something. */
const DETACH_TICKS = 10;
/** A password being rotated looks like a wrong one for a moment; a wrong one must not be tried for ever, nor often. */
const AUTH_TRIES = 5;
const AUTH_PAUSE: Backoff = { initialMs: 2000, maxMs: 30_000 };
/** A stream that has lived this long ends the back-off of the ones before it. */
const HEALTHY_MS = 30_000;

export type PipelineState = 'starting' | 'streaming' | 'reconnecting' | 'draining' | 'stopped';

export interface PipelineOptions {
  readonly name: string;
  readonly slotName: string;
  readonly source: Source;
  readonly log: EventLog;
  /** Made when the server has said who it is: sinks store its identity with their positions. */
  readonly createLanes: (facts: SourceFacts) => readonly Lane[];
  readonly budget: WalBudget;
  /** At the log's limit: stop = the source waits; detach = the slowest sink is given up until it is rebuilt. */
  readonly onFull: 'stop' | 'detach';
  readonly drainTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * One pipeline's life: decide where to start, run lanes and source, confirm what is held, retry, drain.
 *
 *   starting ──▶ streaming ◀──▶ reconnecting
 *       │            └────┬──────────┘
 *       │                 ▼
 *       │             draining
 *       └────────────────┴──────▶ stopped
 */
export class Pipeline {
  readonly #options: PipelineOptions;
  readonly #gate: GatedWriter;
  readonly #acker: Acker;
  /** Ends lanes and source at once; its reason is why. */
  readonly #kill = new AbortController();
  readonly #lanes: LaneGroup;
  #drained: Promise<void> | undefined;
  #state: PipelineState = 'starting';
  #facts: SourceFacts | undefined;
  #lastError: TailraceError | undefined;

  #streamingSinceMs: number | undefined;

  constructor(options: PipelineOptions) {
    const { log, clock, logger } = options;
    this.#options = options;
    this.#gate = new GatedWriter(log, { clock, signal: this.#kill.signal });
    this.#lanes = new LaneGroup({
      log,
      clock,
      logger,
      onMoved: () => this.#acker.moved(),
      onEnded: (error) => this.#kill.abort(error),
    });
    this.#acker = new Acker(
      {
        synced: () => log.synced,
        delivered: () => this.#lanes.delivered,
        walEnd: () => options.source.progress.walEnd,
        confirm: (endLsn) => options.source.confirm(endLsn),
      },
      options.budget,
    );
    log.onSynced(() => this.#acker.moved());
  }

  get lanes(): readonly Lane[] {
    return this.#lanes.all;
  }

  get state(): PipelineState {
    return this.#state;
  }

  get facts(): SourceFacts | undefined {
    return this.#facts;
  }

  get lastError(): TailraceError | undefined {
    return this.#lastError;
  }

  get confirmed(): Lsn {
    return this.#acker.confirmed;
  }

  get serverKeepsAll(): boolean {
    return this.#acker.serverKeepsAll;
  }

  /**
   * Runs until `drain` aborts (resolves when everything read is delivered and confirmed; rejects with E_DRAIN past the deadline), `kill` aborts,
   * or something happens that only an operator can mend.
   */
  async run(signals: { readonly drain: AbortSignal; readonly kill: AbortSignal }): Promise<void> {
    const kill = AbortSignal.any([signals.kill, this.#kill.signal]);
    const housekeeping = this.#housekeep(kill);
    try {
      await this.#streamUntilDrain(signals.drain, kill);
    } catch (thrown) {
      const reason = this.#kill.signal.aborted ? this.#kill.signal.reason : thrown;
      this.#lastError = asTailraceError(reason);
      throw this.#lastError;
    } finally {
      this.#state = 'stopped';
      this.#kill.abort(this.#lastError ?? stopped());
      await housekeeping;
      await this.#lanes.close();
    }
  }

  /** Attempts to stream, one connection each, until the drain is done. */
  async #streamUntilDrain(drain: AbortSignal, kill: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    let failures = 0;
    let authFailures = 0;
    while (!drain.aborted) {
      this.#streamingSinceMs = undefined;
      let pause = PATIENT;
      try {
        await this.#attempt(drain, kill);
        if (this.#drained !== undefined) break;
        logger.info({ slot: this.#options.slotName }, 'the server closed the replication connection');
      } catch (thrown) {
        kill.throwIfAborted();
        if (drain.aborted) break;
        const error = asTailraceError(thrown);
        if (this.#streamingSinceMs !== undefined) authFailures = 0;
        // A password that worked before in this process may be in the middle of being rotated.
        const rotating = error.code === 'E_AUTH' && this.#facts !== undefined && ++authFailures < AUTH_TRIES;
        if (!error.retriable && !rotating) throw error;
        if (rotating) pause = AUTH_PAUSE;
        this.#lastError = error;
        logger.warn({ code: error.code, err: error }, error.message);
      }
      if (clock.monotonicMs() - (this.#streamingSinceMs ?? Infinity) > HEALTHY_MS) failures = 0;
      this.#state = this.#facts === undefined ? 'starting' : 'reconnecting';
      const delayMs = backoffMs(pause === AUTH_PAUSE ? authFailures - 1 : failures++, pause);
      await clock.sleep(delayMs, AbortSignal.any([drain, kill])).catch(() => {});
      kill.throwIfAborted();
    }
    // Also when there was no connection to end: what the log has is delivered.
    await this.#drainOnce(kill);
  }

  /** One connection: from the decision to the end of its stream. A drain asked for meanwhile ends it when it is done. */
  async #attempt(drain: AbortSignal, kill: AbortSignal): Promise<void> {
    const { source } = this.#options;
    const start = await this.#settleStart(AbortSignal.any([drain, kill]), kill, drain);
    this.#facts = start.facts;
    this.#lanes.start({
      judge: (lane, checkpoint) => this.#judge(lane, checkpoint),
      tables: await this.#tables(AbortSignal.any([drain, kill])),
      kill,
    });
    this.#acker.connected(start.facts.slot?.confirmedFlushLsn ?? start.from, start.facts.maxSlotWalKeepBytes);
    this.#state = 'streaming';
    this.#lastError = undefined;

    const end = new AbortController();
    // The connection outlives the drain: what it delivers is still to be confirmed.
    const onDrain = (): void => {
      void this.#drainOnce(kill)
        .catch(() => {})
        .finally(() => end.abort());
    };
    drain.addEventListener('abort', onDrain, { once: true });
    if (drain.aborted) onDrain();
    this.#streamingSinceMs = this.#options.clock.monotonicMs();
    try {
      await source.stream({
        from: start.from,
        into: this.#gate,
        signal: AbortSignal.any([end.signal, kill]),
      });
    } finally {
      drain.removeEventListener('abort', onDrain);
    }
    kill.throwIfAborted();
  }

  async #settleStart(signal: AbortSignal, kill: AbortSignal, drain: AbortSignal): Promise<Start> {
    const { source, log, clock, logger, slotName, name } = this.#options;
    const names = { pipeline: name, slotName };
    if (!this.#lanes.made) {
      const facts = await source.inspect(signal);
      requireOwnLog({ ...names, facts, log: log.facts, sinks: [] });
      await this.#lanes.open(this.#options.createLanes(facts), { kill, drain });
    }
    return settleStart({
      ...names,
      source,
      log,
      sinks: () => this.#lanes.facts,
      sinkError: (sink) => this.#lanes.errorOf(sink),
      clock,
      logger,
      signal,
    });
  }

  /** Under the numbers the log gives them, which their events will bear. */
  async #tables(signal: AbortSignal): Promise<readonly Relation[]> {
    const { source, log } = this.#options;
    return (await source.tables(signal)).map(({ definition }) => log.relation(definition));
  }

  /** Also of a sink that could be opened only now, when everything else has long been decided. */
  #judge(lane: Lane, checkpoint: Checkpoint): TailraceError | undefined {
    const { log, name, slotName } = this.#options;
    const sink: SinkFacts = { name: lane.name, state: 'positioned', checkpoint };
    const facts = this.#facts as SourceFacts;
    return refuseSink({ facts, pipeline: name, slotName, log: log.facts, sinks: [sink] });
  }

  #drainOnce(kill: AbortSignal): Promise<void> {
    this.#drained ??= this.#drainLanes(kill);
    return this.#drained;
  }

  /** Stops reading, waits for the lanes to deliver and confirm everything read. */
  async #drainLanes(kill: AbortSignal): Promise<void> {
    const { log, clock, drainTimeoutMs } = this.#options;
    this.#state = 'draining';
    this.#gate.close();
    const target = log.appended;
    const done = new AbortController();
    const timer = clock.sleep(drainTimeoutMs, AbortSignal.any([done.signal, kill])).catch(() => {});
    let unsynced: unknown;
    const synced = log.sync().catch((error: unknown) => {
      unsynced = error;
    });
    await Promise.race([Promise.all([this.#lanes.drain(target), synced]), timer]);
    done.abort();
    kill.throwIfAborted();
    this.#acker.moved();
    const late = this.#lanes.behind(target);
    if (late.length === 0) {
      if (unsynced !== undefined) throw asTailraceError(unsynced);
      return;
    }
    throw new TailraceError({
      code: 'E_DRAIN',
      message:
        `Stopped before ${late.map((lane) => `sink ${lane.name}`).join(', ')} had everything; ` +
        'nothing is lost: delivery goes on from there at the next start.',
    });
  }

  async #housekeep(signal: AbortSignal): Promise<void> {
    const { clock, log, onFull } = this.#options;
    let fullTicks = 0;
    for (let tick = 1; ; tick++) {
      await clock.sleep(TICK_MS, signal).catch(() => {});
      if (signal.aborted) return;
      // The stream asks the log only when there is something to write.
      if (log.failed?.retriable === false) this.#kill.abort(log.failed);
      this.#acker.moved();
      if (log.full) this.#lanes.storeProgress();
      else if (tick % RELEASE_TICKS !== 0) continue;
      await this.#release();
      fullTicks = log.full ? fullTicks + 1 : 0;
      if (onFull === 'stop' || fullTicks < DETACH_TICKS) continue;
      this.#lanes.detachSlowest();
      await this.#release();
      fullTicks = 0;
    }
  }

  /** Lets the log go of what nobody needs any more. */
  async #release(): Promise<void> {
    const { log, logger } = this.#options;
    const oldest = this.#lanes.oldestNeeded;
    if (oldest === undefined) return;
    try {
      await log.releaseBelow(oldest);
    } catch (thrown) {
      logger.warn({ err: thrown }, 'old segments of the event log could not be removed');
    }
  }
}

function stopped(): TailraceError {
  return new TailraceError({ code: 'E_INTERNAL', message: 'The pipeline has ended.' });
}
