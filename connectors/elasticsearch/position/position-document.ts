import { randomUUID } from 'node:crypto';
import type { Clock } from '../../../src/clock.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import {
  type Checkpoint,
  comparePositions,
  formatPosition,
  type Position,
  parsePosition,
  restoreCheckpoint,
  type StoredCheckpoint,
  storeCheckpoint,
} from '../../../src/events/position.ts';
import { jsonOf, refusal, serverError } from '../answers.ts';
import type { Answer, ElasticsearchClient } from '../client.ts';
import { ensurePositionsIndex } from './positions-index.ts';

/**
 * How far above the newest version the right to issue versions reaches: a stopped instance that wakes up cannot write further without
 * touching the position document, where it finds itself replaced.
 */
const RESERVE_AHEAD = 16n * 1024n * 1024n;

/** Takeovers by two instances at once: the last one wins, and this often one may be beaten before it gives up. */
const TAKEOVERS = 5;

/** An index that holds documents of this sink. */
export interface OwnedIndex {
  readonly name: string;
  /** Another index of the same name has another one. */
  readonly uuid: string;
  readonly table: string;
  readonly oid: number;
}

/** What is stored, one document per sink. */
interface Stored {
  readonly pipeline: string;
  readonly sink: string;
  /** Identity and generation of the source whose versions the indices hold. */
  readonly source: string;
  /** The instance that may write; a new one at every start. */
  readonly session: string;
  /** Counts this session's writes, to know one's own after a lost answer. */
  readonly writes: number;
  readonly checkpoint?: StoredCheckpoint | undefined;
  /** No version above this one has been issued. Decimal. */
  readonly reserved: string;
  /** Events that were refused for good and not delivered yet. */
  readonly refused: readonly string[];
  readonly indices: readonly OwnedIndex[];
  readonly updated_at: string;
}

type Change = Partial<Pick<Stored, 'checkpoint' | 'reserved' | 'refused' | 'indices'>>;

export interface PositionDocumentOptions {
  readonly client: ElasticsearchClient;
  readonly clock: Clock;
  readonly index: string;
  readonly pipeline: string;
  readonly sink: string;
  readonly source: string;
}

/**
 * The sink's position, in the cluster it writes to. Every write names the state it replaces (`if_seq_no`, `if_primary_term`), so only
 * one instance can move it. https://www.elastic.co/docs/reference/elasticsearch/rest-apis/optimistic-concurrency-control
 */
export class PositionDocument {
  readonly #options: PositionDocumentOptions;
  readonly #session = randomUUID();
  readonly #path: string;
  #stored: Stored | undefined;
  #seqNo = 0;
  #primaryTerm = 0;
  /** One write at a time. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: PositionDocumentOptions) {
    this.#options = options;
    const id = encodeURIComponent(`${options.pipeline}/${options.sink}`);
    this.#path = `/${encodeURIComponent(options.index)}/_doc/${id}`;
  }

  /** What the sink holds for good; undefined: nothing yet. */
  get checkpoint(): Checkpoint | undefined {
    const { checkpoint } = this.#current;
    return checkpoint === undefined ? undefined : restoreCheckpoint(checkpoint);
  }

  /** The highest version that can have been issued. */
  get reserved(): bigint {
    return BigInt(this.#current.reserved);
  }

  get indices(): readonly OwnedIndex[] {
    return this.#current.indices;
  }

  wasRefused(position: Position): boolean {
    return this.#current.refused.includes(formatPosition(position));
  }

  /**
   * Makes this instance the only one that can move the position, then reads it. Throws E_SINK_FOREIGN when it is of another source.
   */
  async takeOver(signal: AbortSignal): Promise<void> {
    await ensurePositionsIndex(this.#options.client, this.#options.index, signal);
    for (let attempt = 0; attempt < TAKEOVERS; attempt++) {
      const found = await this.#read(signal);
      if (found !== undefined) this.#requireOurs(found.stored);
      const next: Stored = {
        ...(found?.stored ?? this.#first()),
        source: this.#options.source,
        session: this.#session,
        writes: 0,
        updated_at: this.#now(),
      };
      const answer = await this.#put(next, found, signal);
      if (this.#adopt(answer, next)) return;
    }
    throw this.#fenced();
  }

  /** To be called before versions up to this one are sent. */
  async reserve(version: bigint, signal: AbortSignal): Promise<void> {
    if (version <= this.reserved) return;
    await this.#serially(async () => {
      if (version <= this.reserved) return;
      await this.#write({ reserved: String(version + RESERVE_AHEAD) }, signal);
    });
  }

  /** The checkpoint is durable when it resolves. Never goes back. */
  async advance(checkpoint: Checkpoint, signal: AbortSignal): Promise<void> {
    await this.#serially(async () => {
      const before = this.checkpoint;
      if (before !== undefined && !isBehind(before, checkpoint)) return;
      const refused = this.#current.refused.filter(
        (position) => comparePositions(parsePosition(position), checkpoint.position) > 0,
      );
      await this.#write({ checkpoint: storeCheckpoint(checkpoint), refused }, signal);
    });
  }

  async addRefused(positions: readonly Position[], signal: AbortSignal): Promise<void> {
    const fresh = positions.map(formatPosition).filter((text) => !this.#current.refused.includes(text));
    if (fresh.length === 0) return;
    await this.#serially(() => this.#write({ refused: [...this.#current.refused, ...fresh] }, signal));
  }

  async own(index: OwnedIndex, signal: AbortSignal): Promise<void> {
    await this.#serially(() => {
      const others = this.indices.filter(({ name }) => name !== index.name);
      return this.#write({ indices: [...others, index] }, signal);
    });
  }

  /** Gives back what was reserved and not used, so that the next start knows exactly what was issued. */
  async release(issued: bigint, signal: AbortSignal): Promise<void> {
    if (issued >= this.reserved) return;
    await this.#serially(() => this.#write({ reserved: String(issued) }, signal));
  }

  get #current(): Stored {
    if (this.#stored === undefined) {
      throw new TailraceError({ code: 'E_INTERNAL', message: 'The position document is not open.' });
    }
    return this.#stored;
  }

  #first(): Stored {
    const { pipeline, sink, source } = this.#options;
    return {
      pipeline,
      sink,
      source,
      session: this.#session,
      writes: 0,
      reserved: '0',
      refused: [],
      indices: [],
      updated_at: this.#now(),
    };
  }

  #now(): string {
    return new Date(this.#options.clock.nowMs()).toISOString();
  }

  #serially<T>(write: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(write);
    this.#tail = result.catch(() => {});
    return result;
  }

  async #write(change: Change, signal: AbortSignal): Promise<void> {
    const current = this.#current;
    const next: Stored = { ...current, ...change, writes: current.writes + 1, updated_at: this.#now() };
    const state = { seqNo: this.#seqNo, primaryTerm: this.#primaryTerm };
    if (this.#adopt(await this.#put(next, state, signal), next)) return;
    // The answer to an earlier write may have been lost: then the document is ours, and newer than we know.
    const found = await this.#read(signal);
    if (found === undefined || found.stored.session !== this.#session) throw this.#fenced();
    if (!this.#adopt(await this.#put(next, found, signal), next)) throw this.#fenced();
  }

  async #read(signal: AbortSignal): Promise<Found | undefined> {
    const { client, index } = this.#options;
    const answer = await client.request({ method: 'GET', path: this.#path, signal });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) {
      throw refusal({
        status: answer.status,
        error: serverError(answer),
        doing: `read the position from ${index}`,
        indices: [index],
      });
    }
    const { _source, _seq_no, _primary_term } = jsonOf<{
      _source: unknown;
      _seq_no: number;
      _primary_term: number;
    }>(answer);
    return { stored: this.#validate(_source), seqNo: _seq_no, primaryTerm: _primary_term };
  }

  #put(stored: Stored, found: Omit<Found, 'stored'> | undefined, signal: AbortSignal): Promise<Answer> {
    return this.#options.client.request({
      method: 'PUT',
      path: this.#path,
      query:
        found === undefined
          ? { op_type: 'create' }
          : { if_seq_no: found.seqNo, if_primary_term: found.primaryTerm },
      json: stored,
      signal,
    });
  }

  /** False when the document is not in the state the write named. */
  #adopt(answer: Answer, stored: Stored): boolean {
    if (answer.status === 409) return false;
    const { index } = this.#options;
    if (answer.status !== 200 && answer.status !== 201) {
      throw refusal({
        status: answer.status,
        error: serverError(answer),
        doing: `store the position in ${index}`,
        indices: [index],
      });
    }
    const { _seq_no, _primary_term } = jsonOf<{ _seq_no: number; _primary_term: number }>(answer);
    this.#stored = stored;
    this.#seqNo = _seq_no;
    this.#primaryTerm = _primary_term;
    return true;
  }

  /** A damaged document is never taken for "from the beginning". */
  #validate(source: unknown): Stored {
    const stored = source as Partial<Stored> | undefined;
    try {
      if (typeof stored?.source !== 'string' || typeof stored.session !== 'string') throw new RangeError();
      if (!Array.isArray(stored.indices) || !Array.isArray(stored.refused)) throw new RangeError();
      if (!Number.isSafeInteger(stored.writes)) throw new RangeError();
      BigInt(stored.reserved as string);
      if (stored.checkpoint !== undefined) restoreCheckpoint(stored.checkpoint);
      for (const position of stored.refused as string[]) parsePosition(position);
    } catch {
      throw new TailraceError({
        code: 'E_SINK_FOREIGN',
        message: `The position document of this sink (${this.#describe()}) is damaged or of another version of Tailrace.`,
        fix: 'Restore the index from a snapshot; or let the sink be filled anew: see "Starting over" in its documentation.',
      });
    }
    return stored as Stored;
  }

  #requireOurs(stored: Stored): void {
    const { pipeline, sink, source } = this.#options;
    const sameSink = stored.pipeline === pipeline && stored.sink === sink;
    if (sameSink && databaseOf(stored.source) === databaseOf(source)) return;
    throw new TailraceError({
      code: 'E_SINK_FOREIGN',
      message:
        `The position document of this sink (${this.#describe()}) is of ` +
        `${sameSink ? `another database (${stored.source}, this one is ${source})` : `${stored.pipeline}/${stored.sink}`}.`,
      fix: 'Give the pipeline or the sink another name, or another positions_index.',
    });
  }

  #describe(): string {
    const { index, pipeline, sink } = this.#options;
    return `${pipeline}/${sink} in ${index}`;
  }

  #fenced(): TailraceError {
    return new TailraceError({
      code: 'E_FENCED',
      message: `Another instance has taken over this sink: the position document (${this.#describe()}) is no longer ours.`,
      fix: 'Run one instance of a pipeline only; or give the second one another pipeline name.',
    });
  }
}

interface Found {
  readonly stored: Stored;
  readonly seqNo: number;
  readonly primaryTerm: number;
}

/** `<database>#<generation>`: a later generation of the same database goes on where the one before was. */
function databaseOf(source: string): string {
  const hash = source.lastIndexOf('#');
  return hash < 0 ? source : source.slice(0, hash);
}

function isBehind(stored: Checkpoint, next: Checkpoint): boolean {
  const order = comparePositions(stored.position, next.position);
  if (order !== 0) return order < 0;
  return stored.endLsn < next.endLsn || stored.source !== next.source;
}
