import type { Clock } from '../../../src/clock.ts';
import { type Backoff, backoffMs } from '../../../src/delivery/retry.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { refusal, type ServerError, serverError } from '../answers.ts';
import type { Answer, ElasticsearchClient } from '../client.ts';
import { BULK_FILTER, bulkItems, type ItemAnswer, outcomeOf } from './bulk-answer.ts';
import type { BulkBody } from './bulk-body.ts';
import type { BulkLimits } from './bulk-limits.ts';
import type { Permits } from './permits.ts';

/** Throttled operations are tried again here this often before the lane is told; what is done by then stays done. */
const ATTEMPTS = 6;
const BACKOFF: Backoff = { initialMs: 50, maxMs: 3_000 };

/** Told per operation; an operation nothing was told of has to be sent again. */
export interface BulkListener {
  done(ref: number): void;
  /** A version at least as high is stored. */
  conflict(ref: number): void;
  rejected(ref: number, error: ServerError): void;
}

export interface BulkMeter {
  throttled(): void;
  /** An index takes no writes. */
  blocked(indices: readonly string[]): void;
  /** All operations of a request were taken. */
  written(): void;
}

export interface BulkSenderOptions {
  readonly client: ElasticsearchClient;
  readonly clock: Clock;
  readonly permits: Permits;
  readonly limits: BulkLimits;
  readonly refresh: boolean;
  readonly meter: BulkMeter;
}

export interface Sending {
  readonly listener: BulkListener;
  /** Indices the operations are for, for messages. */
  readonly indices: readonly string[];
  readonly signal: AbortSignal;
}

/** Sends bulk requests until every operation has an outcome, or throws: retriable for what may succeed later. */
export class BulkSender {
  readonly #options: BulkSenderOptions;

  constructor(options: BulkSenderOptions) {
    this.#options = options;
  }

  async send(body: BulkBody, sending: Sending): Promise<void> {
    const refused: Refused[] = [];
    await this.#send(body, sending, refused);
    if (refused.length > 1 && refused.length === body.count) {
      // Every single operation makes its request fail: that is not about documents.
      throw this.#refusal(refused[0] as Refused, sending);
    }
    for (const { ref, error } of refused) sending.listener.rejected(ref, error);
  }

  /** `refused`: operations that make a whole request fail, each found alone in one. */
  async #send(first: BulkBody, sending: Sending, refused: Refused[]): Promise<void> {
    const { clock, permits, limits } = this.#options;
    let body = first;
    for (let attempt = 0; ; attempt++) {
      const sent = body;
      const answer = await permits.use(() => this.#request(sent, sending.signal));
      let again: readonly number[];
      if (answer.status === 200) {
        again = this.#take(body, answer, sending);
        if (again.length === 0) return;
      } else if (answer.status === 413) {
        limits.tooMuch(body.bytes);
        if (body.count > 1) return this.#halves(body, sending, refused);
        refused.push({ ref: body.ref(0), status: 413, error: serverError(answer) });
        return;
      } else if (answer.status === 400 && serverError(answer).type !== 'cluster_block_exception') {
        // One operation can spoil the request for all: find it.
        if (body.count > 1) return this.#halves(body, sending, refused);
        refused.push({ ref: body.ref(0), status: 400, error: serverError(answer) });
        return;
      } else if (answer.status === 429 && serverError(answer).type !== 'cluster_block_exception') {
        this.#throttled();
        again = all(body);
      } else {
        throw this.#refusal({ status: answer.status, error: serverError(answer) }, sending);
      }
      if (attempt + 1 >= ATTEMPTS) throw overloaded(again.length);
      await clock.sleep(backoffMs(attempt, BACKOFF), sending.signal);
      if (again.length < body.count) body = body.pick(again);
      else if (answer.status === 429 && attempt > 0 && body.count > 1) {
        // A request above the server's memory for indexing is never taken whole.
        limits.tooMuch(body.bytes);
        return this.#halves(body, sending, refused);
      }
    }
  }

  #request(body: BulkBody, signal: AbortSignal): Promise<Answer> {
    const { client, refresh } = this.#options;
    return client.request({
      method: 'POST',
      path: '/_bulk',
      query: { filter_path: BULK_FILTER, ...(refresh ? { refresh: true } : {}) },
      lines: body.view(),
      signal,
    });
  }

  /** Reports the outcomes; answers the operations to try again. Throws what concerns more than a document. */
  #take(body: BulkBody, answer: Answer, sending: Sending): readonly number[] {
    const { permits, limits, meter } = this.#options;
    const { listener } = sending;
    const items = this.#items(answer, body);
    if (items === undefined) {
      for (let i = 0; i < body.count; i++) listener.done(body.ref(i));
      permits.succeeded();
      limits.succeeded();
      meter.written();
      return [];
    }
    const again: number[] = [];
    let throttled = false;
    let failure: TailraceError | undefined;
    items.forEach((item, i) => {
      const error = item.error ?? { type: `status ${item.status}`, reason: '' };
      switch (outcomeOf(body.kind(i), item)) {
        case 'done':
          listener.done(body.ref(i));
          break;
        case 'conflict':
          listener.conflict(body.ref(i));
          break;
        case 'rejected':
          listener.rejected(body.ref(i), error);
          break;
        case 'throttled':
          throttled = true;
          again.push(i);
          break;
        case 'unavailable':
          again.push(i);
          break;
        case 'blocked':
        case 'refused':
          failure ??= this.#refusal({ status: item.status, error }, sending);
          break;
      }
    });
    if (failure !== undefined) throw failure;
    if (throttled) this.#throttled();
    return again;
  }

  #items(answer: Answer, body: BulkBody): readonly ItemAnswer[] | undefined {
    let items: readonly ItemAnswer[] | undefined;
    try {
      items = bulkItems(answer.text);
    } catch {
      throw unreadable();
    }
    if (items !== undefined && items.length !== body.count) throw unreadable();
    return items;
  }

  async #halves(body: BulkBody, sending: Sending, refused: Refused[]): Promise<void> {
    const indices = all(body);
    const middle = body.count >> 1;
    await this.#send(body.pick(indices.slice(0, middle)), sending, refused);
    await this.#send(body.pick(indices.slice(middle)), sending, refused);
  }

  #throttled(): void {
    this.#options.permits.overloaded();
    this.#options.meter.throttled();
  }

  #refusal({ status, error }: Pick<Refused, 'status' | 'error'>, { indices }: Sending): TailraceError {
    if (error.type === 'cluster_block_exception') this.#options.meter.blocked(indices);
    return refusal({ status, error, doing: `write to ${indices.join(', ')}`, indices });
  }
}

interface Refused {
  readonly ref: number;
  readonly status: number;
  readonly error: ServerError;
}

function all(body: BulkBody): readonly number[] {
  return Array.from({ length: body.count }, (_, i) => i);
}

function overloaded(operations: number): TailraceError {
  return new TailraceError({
    code: 'E_SINK_UNAVAILABLE',
    message: `Elasticsearch is overloaded: ${operations} operations were put off ${ATTEMPTS} times in a row.`,
    retriable: true,
  });
}

function unreadable(): TailraceError {
  return new TailraceError({
    code: 'E_SINK_UNAVAILABLE',
    message: 'The answer to a bulk request is not one: it may have been cut off.',
    retriable: true,
  });
}
