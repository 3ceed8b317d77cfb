import type { Mapping, Sink, SinkBatch, SinkContext, WriteResult } from '../../src/delivery/sink.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import { createRecordEncoder } from '../../src/events/formats/record-format.ts';
import type { Checkpoint } from '../../src/events/position.ts';
import type { Relation } from '../../src/events/relation.ts';
import { KafkaClient, translatorOf } from './client.ts';
import { isFailure } from './cluster/failure.ts';
import { abortable } from './cluster/patience.ts';
import type { KafkaConfig, KafkaMapping } from './config.ts';
import { AtLeastOnce } from './delivery/at-least-once.ts';
import type { Delivery, DeliveryParts } from './delivery/delivery.ts';
import { ExactlyOnce } from './delivery/exactly-once.ts';
import { Positions } from './delivery/positions.ts';
import { KafkaMeter } from './kafka-meter.ts';
import { KafkaRoute } from './kafka-route.ts';
import { BatchSender } from './produce/batch-sender.ts';
import { RecordPacker } from './produce/record-packer.ts';
import { TopicNames } from './topics/topic-name.ts';
import { Topics } from './topics/topics.ts';

/** How often somebody's adding partitions is looked for. */
const RECHECK_MS = 60_000;

interface Opened {
  readonly client: KafkaClient;
  readonly topics: Topics;
  readonly positions: Positions;
  readonly delivery: Delivery;
}

export class KafkaSink implements Sink<KafkaRoute> {
  readonly #config: KafkaConfig;
  readonly #context: SinkContext;
  readonly #names: TopicNames;
  readonly #translator;
  #opened: Opened | undefined;
  #recheckAtMs: number;
  #topicMissing = false;

  constructor(config: KafkaConfig, context: SinkContext) {
    this.#config = config;
    this.#context = context;
    this.#names = new TopicNames(context);
    this.#translator = translatorOf(config, context);
    this.#recheckAtMs = context.clock.monotonicMs() + RECHECK_MS;
  }

  async open(signal: AbortSignal): Promise<Checkpoint | undefined> {
    this.#opened ??= this.#assemble(await KafkaClient.create(this.#config, this.#context));
    const { client, delivery } = this.#opened;
    try {
      // Without patience: an address or a listener that is wrong is told at once.
      await abortable(client.admin.brokers(), signal);
    } catch (thrown) {
      throw this.#translator.translate(thrown, { doing: 'connect' });
    }
    return delivery.open(signal);
  }

  async prepare(
    mapping: Mapping<KafkaMapping>,
    relation: Relation,
    signal: AbortSignal,
  ): Promise<KafkaRoute> {
    const { options, where } = mapping;
    const name = this.#names.nameFor(options.topic, relation, where);
    const encoder = createRecordEncoder(options, relation, {
      topicPrefix: this.#context.pipeline,
      database: this.#context.database,
      version: this.#context.version,
      runId: this.#context.runId,
      nowMs: () => this.#context.clock.nowMs(),
    });
    const keyless = relation.key.length === 0;
    const topic = await this.#ready.topics.use(
      { name, who: `table ${relation.schema}.${relation.table} (${where})`, keyless },
      signal,
    );
    return new KafkaRoute(topic, encoder);
  }

  async write(batch: SinkBatch<KafkaRoute>, signal: AbortSignal): Promise<WriteResult> {
    return this.#watched(signal, async (delivery) => delivery.write(batch, signal));
  }

  async flush(signal: AbortSignal): Promise<Checkpoint | undefined> {
    return this.#watched(signal, async (delivery) => delivery.flush(signal));
  }

  async close(): Promise<void> {
    await this.#opened?.delivery.close();
    this.#opened?.client.close();
    this.#opened = undefined;
  }

  async #watched<T>(signal: AbortSignal, work: (delivery: Delivery) => Promise<T>): Promise<T> {
    const opened = this.#ready;
    await this.#recheck(opened, signal);
    try {
      return await work(opened.delivery);
    } catch (thrown) {
      if (thrown instanceof TailraceError && isFailure(thrown.cause, 'missing')) this.#topicMissing = true;
      throw thrown;
    }
  }

  async #recheck({ topics, positions }: Opened, signal: AbortSignal): Promise<void> {
    const nowMs = this.#context.clock.monotonicMs();
    if (!this.#topicMissing && nowMs < this.#recheckAtMs) return;
    try {
      if (this.#topicMissing) {
        await positions.prepare(signal);
        await topics.restoreMissing(signal);
      }
      this.#topicMissing = false;
      await topics.recheck(signal);
      this.#recheckAtMs = nowMs + RECHECK_MS;
    } catch (thrown) {
      throw this.#translator.translate(thrown, { doing: 'look at the topics' });
    }
  }

  get #ready(): Opened {
    if (this.#opened !== undefined) return this.#opened;
    throw new TailraceError({ code: 'E_INTERNAL', message: `Sink ${this.#context.name} is not open.` });
  }

  #assemble(client: KafkaClient): Opened {
    const { logger, clock, metrics, name: sink, source, version, pipeline } = this.#context;
    const config = this.#config;
    const translator = this.#translator;
    const { admin, reader } = client;
    const topics = new Topics({ admin, config, translator, logger });
    const positions = new Positions({ admin, reader, config, translator, logger, pipeline, sink });
    const meter = new KafkaMeter(metrics, sink);
    const sender = new BatchSender({
      packer: new RecordPacker({
        maxRecordBytes: config.maxRecordBytes,
        compressed: config.compression !== 'none',
      }),
      requestBytes: config.batch.requestBytes,
      events: {
        acknowledged: ({ count, bytes }) => meter.acknowledged(count, bytes),
        tooLarge: (topic, bytes) => topics.shrink(topic, bytes),
      },
    });
    const parts: DeliveryParts = {
      newProducer: () => client.newProducer(),
      positions,
      sender,
      topics,
      translator,
      meter,
      clock,
      logger,
      source,
      sink,
      version,
    };
    return {
      client,
      topics,
      positions,
      delivery: config.exactlyOnce ? new ExactlyOnce(parts, config) : new AtLeastOnce(parts),
    };
  }
}
