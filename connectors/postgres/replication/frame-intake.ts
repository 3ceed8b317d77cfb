import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../../src/clock.ts';
import { asTailraceError, type TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { LogWriter } from '../../../src/event-log/contract.ts';
import { type Lsn, maxLsn } from '../../../src/events/lsn.ts';
import type { RelationDefinition } from '../../../src/events/relation.ts';
import type { RelationMessage } from '../pgoutput/messages.ts';
import { ProtocolViolation, protocolError } from '../pgoutput/protocol-violation.ts';
import { TransactionDecoder } from '../pgoutput/transaction-decoder.ts';
import { dataLsn, dataSentUs, frameKind, readKeepalive, XLOG_DATA_HEADER_BYTES } from './frames.ts';
import type { ProgressMarks } from './progress-marks.ts';
import type { ReadGate } from './read-gate.ts';
import { ReadPacing } from './read-pacing.ts';

/** Working off kept frames yields to timers and sockets after this long. */
const SLICE_MS = 10;

const BEGIN = 0x42; // B
const COMMIT = 0x43; // C
const MESSAGE = 0x4d; // M

export interface FrameIntakeOptions {
  readonly into: LogWriter;
  /** Where the stream starts; the log holds everything below. */
  readonly from: Lsn;
  readonly gate: ReadGate;
  readonly marks: ProgressMarks;
  readonly clock: Clock;
  /** Asks the catalog for the shape behind a Relation message. */
  readonly lookUp: (message: RelationMessage) => Promise<RelationDefinition>;
  /** The server waits for a status message. Called on arrival, also while frames wait. */
  readonly onReplyRequested: () => void;
  /** Called once; nothing is taken afterwards. */
  readonly onFailed: (error: TailraceError) => void;
}

/**
 * Takes the frames of one connection in order. Normally each goes straight from the socket's buffer into the log. Behind a Relation message whose shape has to be
 * looked up, frames are copied and wait, while the socket is held.
 */
export class FrameIntake {
  readonly #options: FrameIntakeOptions;
  readonly #decoder: TransactionDecoder;
  readonly #pacing = new ReadPacing();
  #waiting: Buffer[] | undefined;
  #stopped = false;
  #received: Lsn;
  #walEnd: Lsn;
  /** Microseconds since 1970 by the server's clock: when it sent the newest data. */
  #sentUs = 0;
  #turnBytes = 0;

  constructor(options: FrameIntakeOptions) {
    this.#options = options;
    const held = maxLsn(options.from, options.into.appended);
    this.#decoder = new TransactionDecoder(options.into, held);
    this.#received = held;
    this.#walEnd = held;
  }

  /** End of what was received, in order and whole. */
  get received(): Lsn {
    return maxLsn(this.#received, this.#decoder.progress);
  }

  /** The furthest end of WAL heard of. */
  get walEnd(): Lsn {
    return this.#walEnd;
  }

  get replayed(): number {
    return this.#decoder.replayed;
  }

  /** One whole CopyData payload; its bytes are only borrowed. Does not throw. */
  frame(frame: Buffer): void {
    if (this.#stopped) return;
    try {
      if (this.#waiting !== undefined) {
        this.#keep(frame, this.#waiting);
        return;
      }
      const pending = this.#take(frame, true);
      if (pending !== undefined) this.#wait(pending);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** After the frames of each read of the socket. */
  read(bytes: number): void {
    if (this.#stopped) return;
    if (this.#turnBytes === 0) setImmediate(() => this.#endTurn());
    this.#turnBytes += bytes;
  }

  /** Nothing more is taken; what the log has of an unfinished transaction is forgotten: the server sends it again. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#waiting = undefined;
    if (this.#decoder.hasWritten) this.#options.into.rollback();
    else if (!this.#decoder.inTransaction) this.#options.marks.flush();
    this.#options.marks.drop();
    this.#options.gate.releaseAll();
  }

  #take(frame: Buffer, onArrival: boolean): RelationMessage | undefined {
    if (kindOf(frame) === 'keepalive') {
      this.#keepalive(frame, onArrival);
      return undefined;
    }
    this.#sentUs = dataSentUs(frame);
    const tag = frame[XLOG_DATA_HEADER_BYTES];
    // The log takes no mark inside a transaction.
    if (tag === BEGIN) this.#options.marks.drop();
    const pending = this.#decoder.decode(frame, XLOG_DATA_HEADER_BYTES, frame.length, dataLsn(frame));
    if (tag === COMMIT || tag === MESSAGE) this.#moved();
    return pending;
  }

  /** After a commit or message: what the log did not get itself (all of it unpublished, or replayed) is marked. */
  #moved(): void {
    if (this.#decoder.inTransaction) return;
    this.#received = maxLsn(this.#received, this.#decoder.progress);
    this.#walEnd = maxLsn(this.#walEnd, this.#received);
    this.#options.marks.note(this.#received);
  }

  #keepalive(frame: Buffer, onArrival: boolean): void {
    const { walEnd, replyRequested } = readKeepalive(frame);
    this.#walEnd = maxLsn(this.#walEnd, walEnd);
    // What the server calls sent lies before the open transaction's commit, but only some of that transaction is here.
    if (!this.#decoder.inTransaction) {
      this.#received = maxLsn(this.#received, walEnd);
      this.#options.marks.note(this.#received, replyRequested);
    }
    if (replyRequested && onArrival) this.#options.onReplyRequested();
  }

  #keep(frame: Buffer, waiting: Buffer[]): void {
    if (kindOf(frame) === 'keepalive' && readKeepalive(frame).replyRequested)
      this.#options.onReplyRequested();
    // The socket's buffer is used again.
    waiting.push(Buffer.from(frame));
  }

  #wait(pending: RelationMessage): void {
    const waiting: Buffer[] = [];
    this.#waiting = waiting;
    this.#options.gate.hold('look-up');
    this.#workOff(pending, waiting).catch((error: unknown) => this.#fail(error));
  }

  /** Looks up, then takes what has waited meanwhile; there may be more to look up in it. */
  async #workOff(first: RelationMessage, waiting: Buffer[]): Promise<void> {
    const { clock, gate, into } = this.#options;
    let pending: RelationMessage | undefined = first;
    let sliceStartMs = clock.monotonicMs();
    for (let next = 0; ; ) {
      if (pending !== undefined) {
        const definition = await this.#options.lookUp(pending);
        if (this.#stopped) return;
        this.#decoder.define(pending, definition);
        pending = undefined;
        sliceStartMs = clock.monotonicMs();
      }
      const frame = waiting[next];
      if (frame === undefined) break;
      next += 1;
      pending = this.#take(frame, false);
      if (clock.monotonicMs() - sliceStartMs >= SLICE_MS) {
        await into.ready();
        await nextTurn();
        if (this.#stopped) return;
        sliceStartMs = clock.monotonicMs();
      }
    }
    this.#waiting = undefined;
    gate.release('look-up');
  }

  #endTurn(): void {
    const bytes = this.#turnBytes;
    this.#turnBytes = 0;
    if (this.#stopped) return;
    const { clock, gate, into } = this.#options;
    const ready = into.ready();
    if (ready !== undefined) {
      gate.hold('log');
      ready.then(
        () => gate.release('log'),
        (error: unknown) => this.#fail(error),
      );
    }
    if (gate.held) return;
    const pauseMs = this.#pacing.pauseAfter({ nowMs: clock.monotonicMs(), bytes, lagMs: this.#lagMs() });
    if (pauseMs === 0) return;
    gate.hold('pacing');
    setTimeout(() => gate.release('pacing'), pauseMs);
  }

  /** Age of the newest transaction when the server sent it. Both times are the server's. */
  #lagMs(): number {
    const committedUs = Number(this.#decoder.commitTimeUs);
    return committedUs === 0 ? 0 : (this.#sentUs - committedUs) / 1000;
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    try {
      this.stop();
    } catch {
      // A log that is broken may refuse the rollback as well; what broke it first is the news.
    }
    this.#options.onFailed(asTailraceError(error));
  }
}

function kindOf(frame: Buffer): 'data' | 'keepalive' {
  try {
    return frameKind(frame);
  } catch (error) {
    if (!(error instanceof ProtocolViolation)) throw error;
    throw protocolError(error, { lsn: 0n, bytes: frame, start: 0, end: frame.length });
  }
}
