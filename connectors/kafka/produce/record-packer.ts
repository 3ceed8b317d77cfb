import type { Rejection, SinkBatch } from '../../../src/delivery/sink.ts';
import type { RecordHeader } from '../../../src/events/formats/contract.ts';
import { refusalOf } from '../../../src/events/formats/ndjson.ts';
import type { KafkaRoute } from '../kafka-route.ts';
import { BATCH_HEADER_BYTES } from '../wire/record-batch-writer.ts';
import { murmur2, partitionOf } from './murmur2.ts';
import { RECORD_OVERHEAD_BYTES, type RecordWindow, recordBytes } from './record-window.ts';

export interface PackerOptions {
  readonly maxRecordBytes: number | undefined;
  /** What a record takes after compression is only known by asking the broker. */
  readonly compressed: boolean;
}

/** Turns the items of a batch into the records of windows. */
export class RecordPacker {
  readonly #options: PackerOptions;

  constructor(options: PackerOptions) {
    this.#options = options;
  }

  /**
   * Adds items from `from` on until the window is full; returns the first that is not in it. Items that cannot be written, or that no broker
   * would take, are noted in `rejected` instead.
   */
  pack(batch: SinkBatch<KafkaRoute>, from: number, window: RecordWindow, rejected: Rejection[]): number {
    let lastCommitUs = -1n;
    let timestampMs = 0;
    for (let i = from; i < batch.count; i++) {
      const { event, route, part } = batch.item(i);
      const { encoder, topic } = route;
      const { out } = window;
      const keyStart = out.length;
      let hasKey: boolean;
      let hasValue: boolean;
      let valueStart: number;
      let headers: readonly RecordHeader[];
      try {
        hasKey = encoder.key(event, part, out);
        valueStart = out.length;
        hasValue = encoder.value(event, part, out);
        headers = encoder.headers(event, part);
      } catch (thrown) {
        const refusal = refusalOf(thrown);
        if (refusal === undefined) throw thrown;
        out.length = keyStart;
        rejected.push({ item: i, ...refusal });
        continue;
      }
      const valueEnd = out.length;
      const bytes = recordBytes(valueStart - keyStart, valueEnd - valueStart, headers);

      const limit = this.#limit(topic.maxMessageBytes);
      // Only what is surely too large; what is nearly so is for the broker to say.
      if (bytes - RECORD_OVERHEAD_BYTES > limit) {
        out.length = keyStart;
        rejected.push(tooLarge(i, topic.topic, bytes - RECORD_OVERHEAD_BYTES, limit));
        continue;
      }
      const partition = hasKey
        ? partitionOf(murmur2(out.buffer, keyStart, valueStart), topic.partitions)
        : topic.keylessPartition;
      if (!window.fits(topic, partition, bytes)) {
        out.length = keyStart;
        return i;
      }
      const { commitTimeUs } = event.transaction;
      if (commitTimeUs !== lastCommitUs) {
        lastCommitUs = commitTimeUs;
        timestampMs = Math.max(0, Number(commitTimeUs / 1000n));
      }
      window.add({
        target: topic,
        partition,
        item: i,
        keyStart,
        keyEnd: hasKey ? valueStart : -1,
        valueStart,
        valueEnd: hasValue ? valueEnd : -1,
        headers,
        timestampMs,
        bytes,
      });
    }
    return batch.count;
  }

  #limit(maxMessageBytes: number | undefined): number {
    const { maxRecordBytes = Number.POSITIVE_INFINITY, compressed } = this.#options;
    if (compressed || maxMessageBytes === undefined) return maxRecordBytes;
    return Math.min(maxRecordBytes, maxMessageBytes - BATCH_HEADER_BYTES);
  }
}

export function tooLarge(item: number, topic: string, bytes: number, limit?: number): Rejection {
  return {
    item,
    reason: 'RECORD_TOO_LARGE',
    detail:
      `the record has ${bytes} bytes, topic ${topic} takes ${limit === undefined ? 'less' : `up to ${limit}`}` +
      ' (max.message.bytes of the topic, max_record_bytes of the sink)',
  };
}
