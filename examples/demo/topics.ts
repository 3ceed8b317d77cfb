import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Admin, type Consumer, Kafka, logLevel } from 'kafkajs';
import { type ChangeEvent, ChangeFold } from './change-fold.ts';
import { TABLES } from './shop-tables.ts';

const PATIENCE_MS = 60_000;
const LOOK_AGAIN_MS = 250;

/** Reads the topics of the demo as any consumer would: from their beginning, committed transactions only. */
export class Topics {
  readonly fold = new ChangeFold();
  readonly #admin: Admin;
  readonly #consumer: Consumer;
  readonly #group: string;
  readonly #tables: ReadonlyMap<string, string>;
  readonly #records = new Map<string, number>();
  /** Offsets read so far, transaction markers included, by topic and partition. */
  readonly #read = new Map<string, bigint>();
  readonly #closing = new AbortController();
  #reading: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(brokers: string, prefix: string) {
    const kafka = new Kafka({
      clientId: 'tailrace-demo',
      brokers: brokers.split(','),
      logLevel: logLevel.NOTHING,
    });
    this.#admin = kafka.admin();
    this.#group = `tailrace-demo-${randomBytes(4).toString('hex')}`;
    this.#consumer = kafka.consumer({
      groupId: this.#group,
      maxWaitTimeInMs: 100,
      readUncommitted: false,
    });
    this.#tables = new Map(TABLES.map(({ name }) => [`${prefix}.shop.${name}`, name]));
  }

  /** Records per table, those without a value included. */
  counts(): ReadonlyMap<string, number> {
    return this.#records;
  }

  start(): void {
    this.#reading = this.#consume().catch((error: unknown) => {
      this.#failure = error as Error;
    });
  }

  async #consume(): Promise<void> {
    const topics = [...this.#tables.keys()];
    await this.#admin.connect();
    // A topic is made with the first row of its table.
    for (;;) {
      const there = new Set(await this.#admin.listTopics());
      if (topics.every((topic) => there.has(topic))) break;
      await sleep(LOOK_AGAIN_MS, undefined, { signal: this.#closing.signal });
    }
    const consumer = this.#consumer;
    consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
      if (!restart) this.#failure = error;
    });
    // Also tells of batches that held nothing but transaction markers.
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload: { topic, partition, lastOffset } }) => {
      this.#read.set(`${topic}/${partition}`, BigInt(lastOffset) + 1n);
    });
    await consumer.connect();
    await consumer.subscribe({ topics, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        const table = this.#tables.get(batch.topic) ?? '';
        // A consumer that has to join its group again reads again.
        const next = this.#read.get(`${batch.topic}/${batch.partition}`) ?? 0n;
        const fresh = batch.messages.filter(({ offset }) => BigInt(offset) >= next);
        this.#records.set(table, (this.#records.get(table) ?? 0) + fresh.length);
        for (const { value } of fresh) {
          if (value !== null) this.fold.add(JSON.parse(value.toString('utf8')) as ChangeEvent);
        }
      },
    });
  }

  /** Waits until everything that is in the topics now has been read. */
  async readToEnd(): Promise<void> {
    await this.#reading;
    const deadlineMs = performance.now() + PATIENCE_MS;
    const ends = await this.#ends();
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if ([...ends].every(([place, end]) => (this.#read.get(place) ?? 0n) >= end)) return;
      if (performance.now() > deadlineMs) throw new Error('The topics could not be read to their end.');
      await sleep(50);
    }
  }

  async #ends(): Promise<ReadonlyMap<string, bigint>> {
    const ends = new Map<string, bigint>();
    for (const topic of this.#tables.keys()) {
      for (const { partition, low, offset } of await this.#admin.fetchTopicOffsets(topic)) {
        if (low !== offset) ends.set(`${topic}/${partition}`, BigInt(offset));
      }
    }
    return ends;
  }

  /** From a cluster that is not the demo's own, nothing of it stays. */
  async deleteTopics(): Promise<void> {
    const there = new Set(await this.#admin.listTopics());
    const topics = [...this.#tables.keys()].filter((topic) => there.has(topic));
    if (topics.length > 0) await this.#admin.deleteTopics({ topics });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#reading;
    await this.#consumer.disconnect();
    await this.#admin.deleteGroups([this.#group]).catch(() => {});
    await this.#admin.disconnect();
  }
}
