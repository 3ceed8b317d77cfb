import type { Clock } from '../clock.ts';
import type { Lane } from '../delivery/lane.ts';
import { backoffMs, PATIENT } from '../delivery/retry.ts';
import { asTailraceError, TailraceError } from '../errors/tailrace-error.ts';
import type { EventLog } from '../event-log/contract.ts';
import { formatLsn, type Lsn } from '../events/lsn.ts';
import { BEFORE_ALL, type Checkpoint, comparePositions, type Position } from '../events/position.ts';
import type { Logger } from '../observe/logger.ts';
import { Acker } from './acker.ts';
import type { WalBudget } from './confirmable.ts';
import { requireSameDatabase, type SinkFacts } from './decide-start.ts';
import { GatedWriter } from './gated-writer.ts';
import type { Source, SourceFacts } from './source.ts';
import { type Start, settleStart } from './startup.ts';

const TICK_MS = 1000;
/** How long the decision waits for sinks that are slow to open before it goes on without knowing them. */
const OPEN_GRACE_MS = 5000;
/** A password being rotated looks like a wrong one for a moment; a wrong one must not be tried for ever. */
const AUTH_TRIES = 5;
/** A connection that has lived this long ends the back-off of the ones before it. */
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
  readonly #running = new Map<Lane, Promise<void>>();
  #lanes: readonly Lane[] = [];
  #drained: Promise<void> | undefined;
  #state: PipelineState = 'starting';
  #facts: SourceFacts | undefined;
  #lastError: TailraceError | undefined;

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#gate = new GatedWriter(options.log);
    this.#acker = new Acker(
      {
        synced: () => options.log.synced,
        delivered: () => this.#lanes.filter((lane) => this.#holds(lane)).map((lane) => lane.durable?.endLsn),
        walEnd: () => options.source.progress.walEnd,
        confirm: (endLsn) => options.source.confirm(endLsn),
      },
      options.budget,
    );
    options.log.onSynced(() => this.#acker.moved());
  }

  get lanes(): readonly Lane[] {
    return this.#lanes;
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
      await Promise.allSettled([...this.#running.values(), housekeeping]);
      await Promise.allSettled(this.#lanes.map((lane) => lane.close()));
    }
  }

  /** Makes the lanes and opens every sink at once; those that take longer go on in the background and start when they are there. */
  async #openLanes(facts: SourceFacts, kill: AbortSignal, drain: AbortSignal): Promise<void> {
    this.#lanes = this.#options.createLanes(facts);
    for (const lane of this.#lanes) lane.onMoved(() => this.#acker.moved());
    const opening = this.#lanes.map((lane) =>
      lane.open(kill).catch((error: unknown) => this.#laneStopped(lane, asTailraceError(error))),
    );
    const grace = new AbortController();
    const signal = AbortSignal.any([grace.signal, drain, kill]);
    await Promise.race([
      Promise.all(opening),
      this.#options.clock.sleep(OPEN_GRACE_MS, signal).catch(() => {}),
    ]);
    grace.abort();
    kill.throwIfAborted();
  }

  /** Attempts to stream, one connection each, until the drain is done. */
  async #streamUntilDrain(drain: AbortSignal, kill: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    let failures = 0;
    let authFailures = 0;
    while (!drain.aborted) {
      const startedMs = clock.monotonicMs();
      try {
        await this.#attempt(drain, kill);
        if (this.#drained !== undefined) break;
        logger.info({ slot: this.#options.slotName }, 'the server closed the replication connection');
      } catch (thrown) {
        kill.throwIfAborted();
        if (drain.aborted) break;
        const error = asTailraceError(thrown);
        // A password that worked before in this process may be in the middle of being rotated.
        const rotating = error.code === 'E_AUTH' && this.#facts !== undefined && ++authFailures < AUTH_TRIES;
        if (!error.retriable && !rotating) throw error;
        this.#lastError = error;
        logger.warn({ code: error.code, err: error }, error.message);
      }
      if (clock.monotonicMs() - startedMs > HEALTHY_MS) failures = 0;
      this.#state = this.#facts === undefined ? 'starting' : 'reconnecting';
      const delayMs = backoffMs(failures++, PATIENT);
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
    for (const lane of this.#lanes) {
      if (start.detached.includes(lane.name)) lane.halt(detached(lane, this.#options.log.facts.startLsn));
    }
    this.#startLanes(kill);
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
    if (this.#lanes.length === 0) {
      const facts = await source.inspect(signal);
      requireSameDatabase({ facts, slotName, log: log.facts, sinks: [] });
      await this.#openLanes(facts, kill, drain);
    }
    return settleStart({
      source,
      log,
      slotName,
      pipeline: name,
      sinks: () => this.#lanes.map((lane) => sinkFacts(lane)),
      clock,
      logger,
      signal,
    });
  }

  /** Starts each lane as soon as its sink is open; a lane that opens later finds the log's beginning or its own position. */
  #startLanes(kill: AbortSignal): void {
    for (const lane of this.#lanes) {
      if (this.#running.has(lane) || lane.state === 'stopped') continue;
      const life = lane
        .open(kill)
        .then((checkpoint) => lane.run(this.#laneStart(lane, checkpoint), kill))
        .catch((error: unknown) => this.#laneStopped(lane, asTailraceError(error)));
      this.#running.set(lane, life);
    }
  }

  #laneStart(lane: Lane, checkpoint: Checkpoint | undefined): Checkpoint | undefined {
    const { log, logger } = this.#options;
    if (checkpoint === undefined) {
      if (lane.positioned) {
        logger.info(
          { sink: lane.name, from: formatLsn(log.facts.startLsn) },
          `sink ${lane.name} is new: it begins with the oldest change in the event log`,
        );
      }
      return undefined;
    }
    if (checkpoint.endLsn < log.facts.startLsn) throw detached(lane, log.facts.startLsn);
    return checkpoint;
  }

  #laneStopped(lane: Lane, error: TailraceError): void {
    if (this.#kill.signal.aborted || this.#state === 'stopped') return;
    this.#options.logger.error({ sink: lane.name, code: error.code, err: error }, error.describe());
    this.#lastError = error;
    const positioned = this.#lanes.filter((other) => other.positioned);
    const judged = positioned.length > 0 ? positioned : this.#lanes;
    if (error.code === 'E_FENCED' || judged.every((other) => other.state === 'stopped'))
      this.#kill.abort(error);
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
    for (const lane of this.#lanes) lane.drain(target);
    await Promise.race([Promise.all([log.sync(), ...this.#running.values()]), timer]);
    done.abort();
    kill.throwIfAborted();
    this.#acker.moved();
    const late = this.#lanes.filter(
      (lane) => lane.positioned && lane.state !== 'drained' && (lane.durable?.endLsn ?? 0n) < target,
    );
    if (late.length === 0) return;
    throw new TailraceError({
      code: 'E_DRAIN',
      message:
        `Stopped before ${late.map((lane) => `sink ${lane.name}`).join(', ')} had everything; ` +
        'nothing is lost: delivery goes on from there at the next start.',
    });
  }

  async #housekeep(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    for (let tick = 1; !signal.aborted; tick++) {
      await clock.sleep(TICK_MS, signal).catch(() => {});
      if (signal.aborted) return;
      this.#acker.moved();
      if (tick % 5 !== 0) continue;
      try {
        await log.releaseBelow(this.#oldestNeeded());
        if (log.full && this.#options.onFull === 'detach') this.#detachSlowest();
      } catch (thrown) {
        this.#options.logger.warn({ err: thrown }, 'old segments of the event log could not be removed');
      }
    }
  }

  /** What every consumer has passed: the positions of lanes that may still want to read. */
  #oldestNeeded(): Position {
    const needed = this.#lanes
      .filter((lane) => this.#holds(lane) || (!lane.positioned && lane.state !== 'stopped'))
      .map((lane) => (lane.positioned ? lane.durable : lane.reached)?.position ?? BEFORE_ALL);
    const [first, ...others] = needed;
    if (first === undefined) return this.#options.log.facts.last;
    return others.reduce(
      (oldest, position) => (comparePositions(position, oldest) < 0 ? position : oldest),
      first,
    );
  }

  /** A sink holds slot and log until it has been detached: stopped ones too, they go on after a restart. */
  #holds(lane: Lane): boolean {
    return lane.positioned && !(lane.state === 'stopped' && lane.error?.code === 'E_LOG_FULL');
  }

  #detachSlowest(): void {
    const [slowest] = this.#lanes
      .filter((lane) => this.#holds(lane))
      .sort((a, b) => comparePositions(a.durable?.position ?? BEFORE_ALL, b.durable?.position ?? BEFORE_ALL));
    if (slowest === undefined) return;
    slowest.halt(
      new TailraceError({
        code: 'E_LOG_FULL',
        message: `Sink ${slowest.name} is detached: the event log has reached its limit and this sink is the slowest.`,
        fix: 'Empty the sink and start it anew, or raise event_log.limit.',
      }),
    );
  }
}

function sinkFacts(lane: Lane): SinkFacts {
  if (!lane.positioned || lane.state === 'stopped') return { name: lane.name, state: 'new' };
  if (lane.durable !== undefined) return { name: lane.name, state: 'positioned', checkpoint: lane.durable };
  return { name: lane.name, state: lane.opened ? 'new' : 'unreachable' };
}

function detached(lane: Lane, startLsn: Lsn): TailraceError {
  return new TailraceError({
    code: 'E_SINK_BEHIND',
    message: `Sink ${lane.name} is behind the oldest change the event log holds (it begins after ${formatLsn(startLsn)}): the changes between are gone for it.`,
    fix: `Empty the sink and start it anew, or leave it out: --without ${lane.name}.`,
  });
}

function stopped(): TailraceError {
  return new TailraceError({ code: 'E_INTERNAL', message: 'The pipeline has ended.' });
}
