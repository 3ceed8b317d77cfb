import type { Rejection, Route, Sink, SinkBatch, WriteResult } from '../../src/delivery/sink.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import type { Checkpoint } from '../../src/events/position.ts';
import type { Relation } from '../../src/events/relation.ts';

export const unavailable = (): TailraceError =>
  new TailraceError({ code: 'E_SINK_UNAVAILABLE', message: 'The sink is not there.', retriable: true });

/** What a test makes of the next call: undefined = it works. */
export type Fault = 'fails' | 'applied-then-fails' | 'hangs' | Rejection | TailraceError;

/**
 * A sink in memory, for the lane's own behaviour. Durable state survives in `stored`, which a second sink can be given: as
 * after a crash, everything else is lost.
 */
export class ScriptedSink implements Sink {
  readonly stored: { checkpoint: Checkpoint | undefined; rows: string[] };
  readonly faults: Partial<Record<'open' | 'prepare' | 'write' | 'flush', Fault[]>> = {};
  readonly calls: string[] = [];
  /** Rows taken, durable or not. */
  rows: string[] = [];
  accepted: Checkpoint | undefined;
  closed = false;
  /** Writes resolve only when released. */
  gate: Promise<void> | undefined;

  constructor(stored: ScriptedSink['stored'] = { checkpoint: undefined, rows: [] }) {
    this.stored = stored;
    this.rows = [...stored.rows];
    this.accepted = stored.checkpoint;
  }

  async open(): Promise<Checkpoint | undefined> {
    this.#fault('open');
    return this.stored.checkpoint;
  }

  async prepare(_: unknown, relation: Relation): Promise<Route> {
    this.#fault('prepare');
    return { destination: relation.table, parts: (event) => (event.op === 'message' ? 0 : 1) };
  }

  async write(batch: SinkBatch, signal: AbortSignal): Promise<WriteResult> {
    this.calls.push(`write ${batch.count}`);
    const fault = this.faults.write?.shift();
    if (fault === 'hangs') await aborted(signal);
    if (fault === 'fails') throw unavailable();
    if (fault instanceof TailraceError) throw fault;
    await this.gate;
    if (typeof fault === 'object') return { accepted: this.accepted, rejected: [fault] };
    // A write that is repeated after it was applied is recognised by its position, as real sinks do.
    if (this.accepted === undefined || batch.to.endLsn > this.accepted.endLsn) {
      for (let i = 0; i < batch.count; i++) {
        const { event, route } = batch.item(i);
        this.rows.push(
          `${route.destination} ${event.op} ${event.column('after', 0) === 'value' ? event.text() : ''}`,
        );
      }
      this.accepted = batch.to;
    }
    if (fault === 'applied-then-fails') throw unavailable();
    return { accepted: this.accepted, rejected: [] };
  }

  async flush(): Promise<Checkpoint | undefined> {
    this.calls.push('flush');
    this.#fault('flush');
    this.stored.checkpoint = this.accepted;
    this.stored.rows = [...this.rows];
    return this.accepted;
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  #fault(call: 'open' | 'prepare' | 'flush'): void {
    const fault = this.faults[call]?.shift();
    if (fault === 'fails') throw unavailable();
    if (fault instanceof TailraceError) throw fault;
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
