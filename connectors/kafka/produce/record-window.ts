import { ByteWriter } from '../../../src/events/byte-writer.ts';
import type { RecordHeader } from '../../../src/events/formats/contract.ts';

/** Where a record goes, and what of it the window needs to know. */
export interface RecordTarget {
  readonly topic: string;
  /** The largest gathering of one partition's records in one request. */
  readonly partitionBytes: number;
}

/** Length, attributes, deltas and the lengths of key, value and headers of a record, at their longest. */
export const RECORD_OVERHEAD_BYTES = 31;
const INITIAL_RECORDS = 1024;
/** A buffer that one huge event has grown is not kept for the small ones after it. */
const KEPT_BUFFER_BYTES = 16 * 1024 * 1024;

/**
 * The records of one request: keys and values one after the other in one buffer, as the encoders wrote them, and numbers in typed arrays that
 * say where each begins and to which partition it belongs; no object per record.
 */
export class RecordWindow {
  readonly maxBytes: number;
  /** Encoders write the next record's key and value here, then `add` takes them in. */
  out = new ByteWriter();
  #capacity = 0;
  #numbers = new Int32Array(0);
  #timestampsMs = new Float64Array(0);
  #headers: (readonly RecordHeader[])[] = [];
  #count = 0;
  #bytes = 0;
  #partitions: WindowPartition[] = [];
  readonly #byTopic = new Map<string, (WindowPartition | undefined)[]>();

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
    this.#grow(INITIAL_RECORDS);
  }

  get count(): number {
    return this.#count;
  }

  /** Estimate of the request's size, before compression. */
  get bytes(): number {
    return this.#bytes;
  }

  /** False when the record has to wait for the next window. A window takes at least one record, however large. */
  fits(target: RecordTarget, partition: number, recordBytes: number): boolean {
    if (this.#count === 0) return true;
    if (this.#bytes + recordBytes > this.maxBytes) return false;
    const taken = this.#byTopic.get(target.topic)?.[partition];
    return taken === undefined || taken.bytes + recordBytes <= target.partitionBytes;
  }

  add(record: {
    readonly target: RecordTarget;
    readonly partition: number;
    /** What the caller knows it by. */
    readonly item: number;
    /** Offsets in `out`; an end of -1 means null. */
    readonly keyStart: number;
    readonly keyEnd: number;
    readonly valueStart: number;
    readonly valueEnd: number;
    readonly headers: readonly RecordHeader[];
    readonly timestampMs: number;
    readonly bytes: number;
  }): void {
    const at = this.#count++;
    if (at === this.#capacity) this.#grow(this.#capacity * 2);
    const numbers = this.#numbers;
    const base = at * FIELDS;
    numbers[base] = record.keyStart;
    numbers[base + 1] = record.keyEnd;
    numbers[base + 2] = record.valueStart;
    numbers[base + 3] = record.valueEnd;
    numbers[base + 4] = record.item;
    numbers[base + 5] = record.bytes;
    this.#timestampsMs[at] = record.timestampMs;
    this.#headers[at] = record.headers;
    this.#bytes += record.bytes;
    const partition = this.#partition(record.target, record.partition);
    partition.indices.push(at);
    partition.bytes += record.bytes;
  }

  /** The records by partition, partitions in the order of their first record. Valid until `reset`. */
  partitions(): readonly PartitionRecords[] {
    return this.#partitions.map(
      ({ topic, partition, indices }) => new PartitionRecords(this, topic, partition, indices),
    );
  }

  reset(): void {
    this.out.reset();
    if (this.out.buffer.length > KEPT_BUFFER_BYTES) this.out = new ByteWriter();
    this.#count = 0;
    this.#bytes = 0;
    this.#headers.length = 0;
    this.#partitions = [];
    this.#byTopic.clear();
  }

  keyStart(at: number): number {
    return this.#numbers[at * FIELDS] as number;
  }
  keyEnd(at: number): number {
    return this.#numbers[at * FIELDS + 1] as number;
  }
  valueStart(at: number): number {
    return this.#numbers[at * FIELDS + 2] as number;
  }
  valueEnd(at: number): number {
    return this.#numbers[at * FIELDS + 3] as number;
  }
  item(at: number): number {
    return this.#numbers[at * FIELDS + 4] as number;
  }
  recordBytes(at: number): number {
    return this.#numbers[at * FIELDS + 5] as number;
  }
  timestampMs(at: number): number {
    return this.#timestampsMs[at] as number;
  }
  headers(at: number): readonly RecordHeader[] {
    return this.#headers[at] as readonly RecordHeader[];
  }

  #partition(target: RecordTarget, partition: number): WindowPartition {
    let topic = this.#byTopic.get(target.topic);
    if (topic === undefined) {
      topic = [];
      this.#byTopic.set(target.topic, topic);
    }
    let found = topic[partition];
    if (found === undefined) {
      found = { topic: target.topic, partition, indices: [], bytes: 0 };
      topic[partition] = found;
      this.#partitions.push(found);
    }
    return found;
  }

  #grow(capacity: number): void {
    const numbers = new Int32Array(capacity * FIELDS);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
    const timestampsMs = new Float64Array(capacity);
    timestampsMs.set(this.#timestampsMs);
    this.#timestampsMs = timestampsMs;
    this.#capacity = capacity;
  }
}

const FIELDS = 6;

interface WindowPartition {
  readonly topic: string;
  readonly partition: number;
  readonly indices: number[];
  bytes: number;
}

/** The records of a window that go to one partition, in order. What a producer sends as one record batch. */
export class PartitionRecords {
  readonly topic: string;
  readonly partition: number;
  readonly window: RecordWindow;
  /** Of the records, in the window. */
  readonly indices: readonly number[];

  constructor(window: RecordWindow, topic: string, partition: number, indices: readonly number[]) {
    this.window = window;
    this.topic = topic;
    this.partition = partition;
    this.indices = indices;
  }

  get count(): number {
    return this.indices.length;
  }

  /** Estimate of what they take in a request, before compression. */
  get bytes(): number {
    let bytes = 0;
    for (const at of this.indices) bytes += this.window.recordBytes(at);
    return bytes;
  }

  /** Items of the records, as they were given to `add`. */
  items(): readonly number[] {
    return this.indices.map((at) => this.window.item(at));
  }

  slice(from: number, to?: number): PartitionRecords {
    return this.#with(this.indices.slice(from, to));
  }

  without(records: ReadonlySet<number>): PartitionRecords {
    return this.#with(this.indices.filter((_, i) => !records.has(i)));
  }

  #with(indices: readonly number[]): PartitionRecords {
    return new PartitionRecords(this.window, this.topic, this.partition, indices);
  }
}

/** An upper bound of what a record takes in a batch without compression. */
export function recordBytes(keyBytes: number, valueBytes: number, headers: readonly RecordHeader[]): number {
  return RECORD_OVERHEAD_BYTES + keyBytes + valueBytes + headersBytes(headers);
}

const knownHeaderBytes = new WeakMap<readonly RecordHeader[], number>();

function headersBytes(headers: readonly RecordHeader[]): number {
  if (headers.length === 0) return 0;
  let bytes = knownHeaderBytes.get(headers);
  if (bytes === undefined) {
    bytes = 0;
    for (const { key, value } of headers) bytes += 10 + Buffer.byteLength(key) + value.length;
    knownHeaderBytes.set(headers, bytes);
  }
  return bytes;
}
