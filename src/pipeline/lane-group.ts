import type { Clock } from '../clock.ts';
import type { Lane } from '../delivery/lane.ts';
import type { ErrorCode } from '../errors/codes.ts';
import { asTailraceError, TailraceError } from '../errors/tailrace-error.ts';
import type { EventLog } from '../event-log/contract.ts';
import { formatLsn, type Lsn } from '../events/lsn.ts';
import { BEFORE_ALL, type Checkpoint, comparePositions, type Position } from '../events/position.ts';
import type { Relation } from '../events/relation.ts';
import type { Logger } from '../observe/logger.ts';
import type { SinkFacts } from './decide-start.ts';

/** How long the decision waits for sinks that are slow to open before it goes on without knowing them. */
const OPEN_GRACE_MS = 5000;
/** A sink whose connection does not let itself be closed must not keep the process alive. */
const CLOSE_DEADLINE_MS = 5000;

/** A sink that stopped with one of these cannot go on from this log, not even after a restart: it holds nothing back. */
const PARKED: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['E_LOG_FULL', 'E_SINK_BEHIND', 'E_GAP']);

export interface LaneGroupOptions {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A checkpoint or state has changed. */
  readonly onMoved: () => void;
  /** Another instance has taken over, or no sink is left. */
  readonly onEnded: (error: TailraceError) => void;
}

/** Why a sink that stands at `checkpoint` cannot be served from here, or undefined. */
export type Judge = (lane: Lane, checkpoint: Checkpoint) => TailraceError | undefined;

export interface StartLanes {
  readonly judge: Judge;
  /** The tables of the configuration, as they are now. */
  readonly tables: readonly Relation[];
  readonly kill: AbortSignal;
}

/** The lanes of one run: opened together, started one by one, each stopping alone. */
export class LaneGroup {
  readonly #options: LaneGroupOptions;
  readonly #running = new Map<Lane, Promise<void>>();
  #lanes: readonly Lane[] | undefined;
  #ended = false;

  constructor(options: LaneGroupOptions) {
    this.#options = options;
  }

  get all(): readonly Lane[] {
    return this.#lanes ?? [];
  }

  /** False until it is known which lanes there are. */
  get made(): boolean {
    return this.#lanes !== undefined;
  }

  /** Opens every sink at once; those that take longer go on in the background and start when they are there. */
  async open(
    lanes: readonly Lane[],
    signals: { readonly kill: AbortSignal; readonly drain: AbortSignal },
  ): Promise<void> {
    const { kill, drain } = signals;
    this.#lanes = lanes;
    for (const lane of lanes) lane.onMoved(this.#options.onMoved);
    const opening = lanes.map((lane) =>
      lane.open(kill).catch((error: unknown) => {
        // Told by the lane's life, once it has one.
        if (!this.#running.has(lane)) this.#stopped(lane, error);
      }),
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

  /** Starts each lane as soon as its sink is open, where `judge` has nothing against it. Lanes that run already go on. */
  start({ judge, tables, kill }: StartLanes): void {
    for (const lane of this.all) {
      if (this.#running.has(lane) || lane.state === 'stopped') continue;
      const life = lane
        .open(kill)
        .then((checkpoint) => {
          const refusal = checkpoint === undefined ? undefined : judge(lane, checkpoint);
          if (refusal !== undefined) {
            lane.halt(refusal);
            throw refusal;
          }
          if (checkpoint === undefined && lane.positioned) this.#sayNew(lane);
          return lane.run(checkpoint, kill, tables);
        })
        .catch((error: unknown) => this.#stopped(lane, error));
      this.#running.set(lane, life);
    }
  }

  /** Resolves when every lane that was started has delivered everything up to `target`, or stopped. */
  async drain(target: Lsn): Promise<void> {
    for (const lane of this.all) lane.drain(target);
    await Promise.all(this.#running.values());
  }

  /** Sinks that have not got everything up to `target`. */
  behind(target: Lsn): readonly Lane[] {
    const { startLsn } = this.#options.log.facts;
    return this.all.filter(
      (lane) => lane.positioned && lane.state !== 'drained' && (lane.durable?.endLsn ?? startLsn) < target,
    );
  }

  /** After the run's end: nothing of it is heard any more. */
  async close(): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#running.values());
    const late = new AbortController();
    const deadline = this.#options.clock.sleep(CLOSE_DEADLINE_MS, late.signal).catch(() => {});
    await Promise.race([Promise.allSettled(this.all.map((lane) => lane.close())), deadline]);
    late.abort();
  }

  /** What each positioned sink has durably; undefined: it has not told yet. */
  get delivered(): readonly (Lsn | undefined)[] {
    return this.all.filter(holds).map((lane) => lane.durable?.endLsn);
  }

  /** Where each sink stands, for the decision; parked ones have no say. */
  get facts(): readonly SinkFacts[] {
    return this.all.filter(holds).map((lane): SinkFacts => {
      const { name, durable: checkpoint } = lane;
      if (checkpoint !== undefined) return { name, state: 'positioned', checkpoint };
      return { name, state: lane.opened ? 'new' : 'unreachable' };
    });
  }

  /** Why the sink of that name has stopped. */
  errorOf(name: string): TailraceError | undefined {
    const lane = this.all.find((each) => each.name === name);
    return lane?.state === 'stopped' ? lane.error : undefined;
  }

  /**
   * What every lane has passed that may still want to read; undefined while that is not known. A lane without a position holds the
   * log only while there is room: at the limit it gives way to those that have one.
   */
  get oldestNeeded(): Position | undefined {
    if (!this.made) return undefined;
    const { log } = this.#options;
    const holders = this.all.filter(holds);
    const readers = this.all.filter((lane) => !lane.positioned && lane.state !== 'stopped');
    const needed = [
      ...holders.map((lane) => lane.durable),
      ...(log.full && holders.length > 0 ? [] : readers.map((lane) => lane.reached)),
    ].map((checkpoint) => checkpoint?.position ?? BEFORE_ALL);
    return needed.reduce(
      (oldest, position) => (comparePositions(position, oldest) < 0 ? position : oldest),
      log.facts.last,
    );
  }

  /** Lets the log go as far as it is delivered, also where the sinks store that only now and then. */
  storeProgress(): void {
    for (const lane of this.all) lane.storeProgress();
  }

  /** Gives up the sink that is furthest behind, if one is. */
  detachSlowest(): void {
    const { log } = this.#options;
    const positionOf = (lane: Lane): Position => lane.durable?.position ?? BEFORE_ALL;
    const [slowest] = this.all
      .filter((lane) => holds(lane) && comparePositions(positionOf(lane), log.facts.last) < 0)
      .sort((a, b) => comparePositions(positionOf(a), positionOf(b)));
    if (slowest === undefined) return;
    const error = new TailraceError({
      code: 'E_LOG_FULL',
      message: `Sink ${slowest.name} is detached: the event log has reached its limit and this sink is the slowest.`,
      fix: 'Empty the sink and start it anew, or raise event_log.limit.',
    });
    // A lane that has a life tells of its end itself.
    const told = this.#running.has(slowest) && slowest.state !== 'stopped';
    slowest.halt(error);
    if (!told) this.#stopped(slowest, error);
  }

  #sayNew(lane: Lane): void {
    const { log, logger } = this.#options;
    const from = formatLsn(log.facts.startLsn);
    logger.info(
      { sink: lane.name, from },
      `sink ${lane.name} is new: it begins with the oldest change in the event log (after ${from}); what was before is not delivered to it`,
    );
  }

  #stopped(lane: Lane, thrown: unknown): void {
    if (this.#ended) return;
    const error = asTailraceError(thrown);
    this.#options.logger.error({ sink: lane.name, code: error.code, err: error }, error.describe());
    const positioned = this.all.filter((other) => other.positioned);
    const judged = positioned.length > 0 ? positioned : this.all;
    if (error.code === 'E_FENCED' || judged.every((other) => other.state === 'stopped')) {
      this.#options.onEnded(error);
    }
  }
}

/** A sink holds slot and log until it is parked: stopped ones too, they go on after a restart. */
function holds(lane: Lane): boolean {
  return (
    lane.positioned && !(lane.state === 'stopped' && lane.error !== undefined && PARKED.has(lane.error.code))
  );
}
