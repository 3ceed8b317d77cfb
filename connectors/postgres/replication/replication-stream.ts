import type { Clock } from '../../../src/clock.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { formatLsn, type Lsn, maxLsn, minLsn } from '../../../src/events/lsn.ts';
import type { RelationDefinition } from '../../../src/events/relation.ts';
import type { Logger } from '../../../src/observe/logger.ts';
import type { SlotFacts, SourceEnd, StreamOptions } from '../../../src/pipeline/source.ts';
import { chooseHost, clientConfig } from '../connection/connect.ts';
import { type ConnectionSettings, describeHost } from '../connection/connection-settings.ts';
import { PIN_NEWER_PARAMETERS } from '../connection/session-parameters.ts';
import type { RelationMessage } from '../pgoutput/messages.ts';
import { FrameIntake } from './frame-intake.ts';
import { InboundWatchdog } from './inbound-watchdog.ts';
import { computeLivenessTimings } from './liveness.ts';
import { ProgressMarks } from './progress-marks.ts';
import { ReadGate } from './read-gate.ts';
import { RelationShapes } from './relation-shapes.ts';
import { acquireSlot } from './slot-acquisition.ts';
import { StandbyFeedback } from './standby-feedback.ts';
import { startReplication } from './start-replication.ts';
import {
  explainStreamFailure,
  needsSlotState,
  publicationMissing,
  type SlotHolder,
  type StreamNames,
  skipsPublication,
  slotActive,
} from './stream-errors.ts';
import { WalSender, type WalSenderSession } from './walsender.ts';

/** How long the server has to answer our CopyDone; it does not while it sends a large transaction. */
const FINISH_DEADLINE_MS = 3000;
/** How long a connection that is not needed any more may take to close. */
const CLOSE_DEADLINE_MS = 1000;

/** What the stream asks of an SQL connection beside it. */
export interface StreamCatalog {
  relation(message: RelationMessage, signal: AbortSignal): Promise<RelationDefinition>;
  slot(signal: AbortSignal): Promise<SlotFacts | undefined>;
  slotHolder(signal: AbortSignal): Promise<SlotHolder | undefined>;
}

export interface ReplicationStreamOptions {
  readonly settings: ConnectionSettings;
  readonly slot: string;
  readonly publication: string;
  readonly stream: StreamOptions;
  readonly catalog: StreamCatalog;
  /** The position the pipeline allows to be confirmed; 0 = none yet. */
  readonly confirmable: () => Lsn;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Session {
  readonly serverVersion: number;
  readonly walSenderTimeoutMs: number;
}

/** One attempt: connects, streams into the log, ends. Not to be used again. */
export class ReplicationStream {
  readonly #options: ReplicationStreamOptions;
  readonly #gate: ReadGate;
  readonly #intake: FrameIntake;
  readonly #failed = Promise.withResolvers<never>();
  #walSender: WalSender | undefined;
  #feedback: StandbyFeedback | undefined;
  #watchdog: InboundWatchdog | undefined;
  #names: StreamNames;
  #streaming = false;
  #lastHeardMs: number;

  constructor(options: ReplicationStreamOptions) {
    const { catalog, clock, settings, slot, publication, stream } = options;
    this.#options = options;
    this.#names = { slot, publication, database: settings.database, host: 'the server' };
    this.#lastHeardMs = clock.monotonicMs();
    this.#gate = new ReadGate(() => this.#heard());
    const shapes = new RelationShapes((message) => catalog.relation(message, stream.signal));
    this.#intake = new FrameIntake({
      into: stream.into,
      from: stream.from,
      gate: this.#gate,
      marks: new ProgressMarks(stream.into, clock),
      clock,
      lookUp: (message) => shapes.lookUp(message),
      onReplyRequested: () => this.#feedback?.reply(),
      onFailed: (error) => this.#fail(error),
    });
    this.#failed.promise.catch(() => {});
  }

  get connected(): boolean {
    return this.#streaming;
  }

  get received(): Lsn {
    return this.#intake.received;
  }

  get walEnd(): Lsn {
    return this.#intake.walEnd;
  }

  get replayed(): number {
    return this.#intake.replayed;
  }

  get lastHeardMs(): number {
    return this.#lastHeardMs;
  }

  /** The position last told to the server. */
  get confirmed(): Lsn {
    return this.#feedback?.sent ?? 0n;
  }

  /** `confirmable()` has moved. */
  moved(): void {
    this.#feedback?.moved();
  }

  /** Rejects with a TailraceError; an abort is no error. */
  async run(): Promise<SourceEnd> {
    const { signal } = this.#options.stream;
    try {
      await this.#open(signal);
      return await this.#stream(signal);
    } catch (error) {
      if (signal.aborted) return 'aborted';
      throw await this.#explain(error, signal);
    } finally {
      this.#streaming = false;
      this.#intake.stop();
      this.#feedback?.stop();
      this.#watchdog?.stop();
      await this.#walSender?.close(CLOSE_DEADLINE_MS);
    }
  }

  async #open(signal: AbortSignal): Promise<void> {
    const { settings, slot, publication } = this.#options;
    const purpose = { purpose: 'stream', replication: true } as const;
    const host = await chooseHost(settings, { ...purpose, signal });
    this.#names = { ...this.#names, host: describeHost(host) };
    const walSender = new WalSender({
      config: clientConfig(settings, host, purpose),
      slot,
      publication,
      onSession: (session) => this.#begin(session, walSender, signal),
      onFrame: (frame) => this.#intake.frame(frame),
      onRead: (bytes) => {
        this.#heard();
        this.#intake.read(bytes);
      },
      onNotice: (sqlState) => {
        if (skipsPublication(sqlState)) this.#fail(publicationMissing(this.#names));
      },
    });
    this.#walSender = walSender;
    const onAbort = (): void => walSender.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      await walSender.open();
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** On the fresh session: settings, slot, start. Returns when the server streams. */
  async #begin(session: WalSenderSession, walSender: WalSender, signal: AbortSignal): Promise<void> {
    const { catalog, clock, logger, slot, publication, stream } = this.#options;
    const { serverVersion, walSenderTimeoutMs } = await readSession(session);
    const timings = computeLivenessTimings(walSenderTimeoutMs);
    const lastHeardMs = (): number => this.#lastHeardMs;
    this.#feedback = new StandbyFeedback({
      timings,
      clock,
      confirmed: () => this.#confirmed(),
      lastHeardMs,
      send: (status) => walSender.send(status),
    });
    this.#watchdog = new InboundWatchdog({
      clock,
      inboundTimeoutMs: timings.inboundTimeoutMs,
      lastHeardMs,
      readingHeld: () => this.#gate.stopped,
      onLost: (silentMs) => this.#fail(silent(this.#names.host, silentMs)),
    });
    const command = startReplication({ slot, publication, from: stream.from, serverVersion });
    await acquireSlot({
      walSenderTimeoutMs,
      clock,
      signal,
      start: () => session.start(command),
      holder: () => catalog.slotHolder(signal),
      onWaiting: (holder) =>
        logger.info({ slot, pid: holder?.pid }, `slot "${slot}" is still in use; waiting for it`),
      giveUp: (holder, waitedMs, cause) => slotActive(holder, waitedMs, this.#names, cause),
    });
    // Here and not later: frames may follow the server's answer at once.
    this.#streaming = true;
    this.#heard();
    this.#gate.attach(walSender);
    this.#feedback.start();
    this.#watchdog.start();
  }

  async #stream(signal: AbortSignal): Promise<SourceEnd> {
    const walSender = this.#walSender as WalSender;
    const { logger, slot, stream } = this.#options;
    logger.info({ slot, from: formatLsn(stream.from), host: this.#names.host }, 'streaming');
    const aborted = Promise.withResolvers<'aborted'>();
    const onAbort = (): void => aborted.resolve('aborted');
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (signal.aborted) onAbort();
      const end = await Promise.race([walSender.ended, this.#failed.promise, aborted.promise]);
      if (end !== 'aborted') return 'server-closed';
      await this.#finish(walSender);
      return 'aborted';
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** In order: nothing more is taken, the last position is told, the server confirms that it is done. */
  async #finish(walSender: WalSender): Promise<void> {
    this.#intake.stop();
    this.#feedback?.sendNow();
    this.#feedback?.stop();
    walSender.finish();
    const late = new AbortController();
    const deadline = this.#options.clock.sleep(FINISH_DEADLINE_MS, late.signal).catch(() => {});
    await Promise.race([walSender.ended.catch(() => {}), deadline]);
    late.abort();
  }

  /** Never beyond what this connection has delivered, whatever was allowed before it. */
  #confirmed(): Lsn {
    return minLsn(this.#options.confirmable(), maxLsn(this.#options.stream.from, this.#intake.received));
  }

  /** Takes effect before the next frame of the same read: a keepalive behind it would speak of WAL that we do not have. */
  #fail(error: TailraceError): void {
    this.#intake.stop();
    this.#failed.reject(error);
  }

  #heard(): void {
    this.#lastHeardMs = this.#options.clock.monotonicMs();
  }

  async #explain(error: unknown, signal: AbortSignal): Promise<TailraceError> {
    const streaming = this.#streaming;
    let slot: SlotFacts | undefined | 'unknown' = 'unknown';
    if (needsSlotState(error)) {
      slot = await this.#options.catalog.slot(signal).catch(() => 'unknown' as const);
    }
    return explainStreamFailure({ error, streaming, slot }, this.#names);
  }
}

/** Also sees to it that the server's warnings reach us, whatever the role's default is. */
async function readSession(session: WalSenderSession): Promise<Session> {
  await session.query(PIN_NEWER_PARAMETERS);
  const [row] = await session.query<{ version: string; timeout: string }>(
    `SELECT pg_catalog.set_config('client_min_messages', 'warning', false),
            pg_catalog.current_setting('server_version_num') AS version,
            (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout') AS timeout`,
  );
  return { serverVersion: Number(row?.version), walSenderTimeoutMs: Number(row?.timeout) };
}

function silent(host: string, silentMs: number): TailraceError {
  return new TailraceError({
    code: 'E_CONNECT',
    message: `${host} has said nothing for ${Math.round(silentMs)} ms, twice its wal_sender_timeout: the connection is dead.`,
    retriable: true,
  });
}
