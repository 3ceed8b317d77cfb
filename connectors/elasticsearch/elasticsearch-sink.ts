import type { Mapping, Sink, SinkBatch, SinkContext, WriteResult } from '../../src/delivery/sink.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import type { Checkpoint } from '../../src/events/position.ts';
import type { Relation } from '../../src/events/relation.ts';
import { BulkLimits } from './bulk/bulk-limits.ts';
import { BulkSender } from './bulk/bulk-sender.ts';
import { Permits } from './bulk/permits.ts';
import { ElasticsearchClient } from './client.ts';
import { serverFlavour } from './cluster.ts';
import type { ElasticsearchConfig, ElasticsearchMapping } from './config.ts';
import { AwaitedRows } from './documents/awaited-rows.ts';
import type { ElasticsearchRoute } from './documents/route.ts';
import { Destinations } from './mapping/destinations.ts';
import { ElasticsearchMeter } from './meter.ts';
import { PositionDocument } from './position/position-document.ts';
import { WriteOrder } from './write/write-order.ts';

/** How long closing may take to give back what was reserved. */
const CLOSE_TIMEOUT_MS = 2_000;

interface Opened {
  readonly position: PositionDocument;
  readonly destinations: Destinations;
  readonly writes: WriteOrder;
  /** Versions up to this one may have been issued before. */
  readonly repeatedUpTo: bigint;
}

/** One cluster; tables as indices, rows as documents, and the position in a document of its own. */
export class ElasticsearchSink implements Sink<ElasticsearchRoute> {
  readonly #config: ElasticsearchConfig;
  readonly #context: SinkContext;
  readonly #client: ElasticsearchClient;
  readonly #meter: ElasticsearchMeter;
  #opened: Opened | undefined;
  #issued = 0n;

  constructor(config: ElasticsearchConfig, context: SinkContext) {
    this.#config = config;
    this.#context = context;
    this.#client = new ElasticsearchClient(config, context.baseDir);
    this.#meter = new ElasticsearchMeter(context);
  }

  async open(signal: AbortSignal): Promise<Checkpoint | undefined> {
    const { clock, pipeline, name, source, database, logger } = this.#context;
    const client = this.#client;
    const flavour = await serverFlavour(client, signal);
    const position = new PositionDocument({
      client,
      clock,
      index: this.#config.positions_index,
      pipeline,
      sink: name,
      source,
    });
    await position.takeOver(signal);
    const repeatedUpTo = position.reserved;
    const { in_flight: inFlight, bulk, refresh } = this.#config;
    const limits = new BulkLimits(bulk);
    const meter = this.#meter;
    const sender = new BulkSender({
      client,
      clock,
      limits,
      refresh,
      permits: new Permits(inFlight),
      meter,
    });
    const writes = new WriteOrder({
      client,
      flavour,
      sender,
      limits,
      inFlight,
      position,
      repeatedUpTo,
      meter,
      buffers: [],
      awaited: new AwaitedRows(),
    });
    const destinations = new Destinations({
      client,
      position,
      logger,
      pipeline,
      database,
      sink: name,
      positionsIndex: this.#config.positions_index,
    });
    this.#opened = { position, destinations, writes, repeatedUpTo };
    return position.checkpoint;
  }

  prepare(mapping: Mapping, relation: Relation, signal: AbortSignal): Promise<ElasticsearchRoute> {
    return this.#open.destinations.prepare(mapping as Mapping<ElasticsearchMapping>, relation, signal);
  }

  async write(batch: SinkBatch<ElasticsearchRoute>, signal: AbortSignal): Promise<WriteResult> {
    const { writes, destinations, position } = this.#open;
    const job = writes.enter(batch);
    const { plan } = job;
    if (plan.highestVersion > this.#issued) this.#issued = plan.highestVersion;
    for (const index of plan.documents.keys()) destinations.touched(index);
    await job.run(writes.before(job), signal);
    if (plan.rejected.length > 0) {
      const rejected = [...plan.rejected].sort((a, b) => a.item - b.item);
      await position.addRefused(
        rejected.map(({ item }) => batch.item(item).event.position),
        signal,
      );
      return { accepted: writes.accepted ?? position.checkpoint, rejected };
    }
    writes.finish(job);
    return { accepted: batch.to, rejected: [] };
  }

  /** Stores the end of the last whole transaction. */
  async flush(signal: AbortSignal): Promise<Checkpoint | undefined> {
    const { writes, position, destinations } = this.#open;
    const { storable } = writes;
    await destinations.verify(signal);
    if (storable !== undefined) await position.advance(storable, signal);
    return position.checkpoint;
  }

  async close(): Promise<void> {
    const { position, repeatedUpTo } = this.#opened ?? {};
    try {
      if (position !== undefined && this.#issued > (repeatedUpTo ?? 0n)) {
        await position.release(this.#issued, AbortSignal.timeout(CLOSE_TIMEOUT_MS));
      }
    } catch {
      // A courtesy to the next start, which knows how to do without.
    } finally {
      await this.#client.close();
    }
  }

  get #open(): Opened {
    if (this.#opened === undefined) {
      throw new TailraceError({ code: 'E_INTERNAL', message: `Sink ${this.#context.name} is not open.` });
    }
    return this.#opened;
  }
}
