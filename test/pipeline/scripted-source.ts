import type { Finding } from '../../src/delivery/sink.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import type { LogWriter } from '../../src/event-log/contract.ts';
import type { Lsn } from '../../src/events/lsn.ts';
import type { RelationDefinition } from '../../src/events/relation.ts';
import type {
  SlotFacts,
  Source,
  SourceEnd,
  SourceFacts,
  SourceProgress,
  SourceTable,
  StreamOptions,
} from '../../src/pipeline/source.ts';
import { fastClock } from '../delivery/fast-clock.ts';

export const SLOT: SlotFacts = {
  name: 'tailrace_shop',
  plugin: 'pgoutput',
  database: 'shop',
  confirmedFlushLsn: 1000n,
  restartLsn: 900n,
  active: false,
  walStatus: 'reserved',
};

export const unreachable = (): TailraceError =>
  new TailraceError({ code: 'E_CONNECT', message: 'The server is not there.', retriable: true });

/** A server in memory, for the pipeline's own behaviour: what it says, and when its stream ends, is the test's. */
export class ScriptedSource implements Source {
  facts: SourceFacts = {
    systemIdentifier: '7',
    databaseOid: 5,
    database: 'shop',
    timeline: 1,
    history: [],
    walEnd: 1_000_000_000n,
    serverVersion: 180_004,
    walSenderTimeoutMs: 60_000,
    slot: SLOT,
  };
  /** Errors of the next calls. */
  readonly faults: { readonly inspect: TailraceError[]; readonly stream: TailraceError[] } = {
    inspect: [],
    stream: [],
  };
  readonly inspectedMs: number[] = [];
  readonly confirmed: Lsn[] = [];
  definitions: readonly RelationDefinition[] = [];
  walEnd: Lsn = 0n;
  streams = 0;
  /** The stream that is open. */
  #open: { readonly into: LogWriter; readonly end: (error?: TailraceError) => void } | undefined;

  get into(): LogWriter | undefined {
    return this.#open?.into;
  }

  /** The connection is lost. */
  cut(error: TailraceError = unreachable()): void {
    this.#open?.end(error);
  }

  async inspect(signal: AbortSignal): Promise<SourceFacts> {
    signal.throwIfAborted();
    this.inspectedMs.push(fastClock.monotonicMs());
    const fault = this.faults.inspect.shift();
    if (fault !== undefined) throw fault;
    return this.facts;
  }

  async tables(): Promise<readonly SourceTable[]> {
    return this.definitions.map((definition) => ({ definition, estimatedRows: 0 }));
  }

  async prepare(): Promise<void> {}

  async createSlot(): Promise<Lsn> {
    this.facts = { ...this.facts, slot: SLOT };
    return SLOT.confirmedFlushLsn as Lsn;
  }

  async stream({ into, signal }: StreamOptions): Promise<SourceEnd> {
    const fault = this.faults.stream.shift();
    if (fault !== undefined) throw fault;
    this.streams++;
    const ended = Promise.withResolvers<SourceEnd>();
    const end = (error?: TailraceError): void =>
      error === undefined ? ended.resolve('aborted') : ended.reject(error);
    this.#open = { into, end };
    signal.addEventListener('abort', () => end(), { once: true });
    if (signal.aborted) end();
    try {
      return await ended.promise;
    } finally {
      this.#open = undefined;
    }
  }

  confirm(endLsn: Lsn): void {
    this.confirmed.push(endLsn);
  }

  get progress(): SourceProgress {
    return {
      walEnd: this.walEnd,
      received: 0n,
      confirmed: this.confirmed.at(-1) ?? 0n,
      connected: this.#open !== undefined,
      lastHeardMs: 0,
    };
  }

  async *check(): AsyncGenerator<Finding> {}

  async close(): Promise<void> {}
}
