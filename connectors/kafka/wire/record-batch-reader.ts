import { crc32c } from './crc32c.ts';
import { WireReader } from './wire-reader.ts';

const LOG_OVERHEAD_BYTES = 12;
const CONTROL = 0x20;
const TRANSACTIONAL = 0x10;
const CODEC_MASK = 0x07;

export interface FetchedRecord {
  readonly offset: bigint;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

export interface FetchedBatch {
  readonly baseOffset: bigint;
  /** Of the last record there ever was: compaction may have removed it. */
  readonly lastOffset: bigint;
  readonly producerId: bigint;
  readonly transactional: boolean;
  /** A marker that ends a transaction, instead of data. */
  readonly control: 'commit' | 'abort' | undefined;
  readonly records: readonly FetchedRecord[];
}

export type Decompress = (code: number, bytes: Buffer) => Promise<Buffer>;

/** Batches of magic 2, in order. A torn batch at the end, as brokers send to fill the size asked for, is left out. */
export async function readBatches(bytes: Buffer, decompress: Decompress): Promise<readonly FetchedBatch[]> {
  const batches: FetchedBatch[] = [];
  let at = 0;
  while (bytes.length - at >= LOG_OVERHEAD_BYTES) {
    const end = at + LOG_OVERHEAD_BYTES + bytes.readInt32BE(at + 8);
    if (end > bytes.length) break;
    batches.push(await readBatch(bytes.subarray(at, end), decompress));
    at = end;
  }
  return batches;
}

async function readBatch(bytes: Buffer, decompress: Decompress): Promise<FetchedBatch> {
  const reader = new WireReader(bytes);
  const baseOffset = reader.int64();
  reader.int32();
  reader.int32();
  const magic = reader.int8();
  if (magic !== 2) throw new RangeError(`A record batch of format ${magic}; only format 2 is read`);
  const crc = reader.uint32();
  if (crc !== crc32c(bytes, reader.at))
    throw new RangeError(`The record batch at offset ${baseOffset} is damaged`);
  const attributes = reader.int16();
  const lastOffset = baseOffset + BigInt(reader.int32());
  const baseTimestampMs = Number(reader.int64());
  reader.int64();
  const producerId = reader.int64();
  reader.int16();
  reader.int32();
  const count = reader.int32();
  const codec = attributes & CODEC_MASK;
  const body = bytes.subarray(reader.at);
  const records = readRecords(
    codec === 0 ? body : await decompress(codec, body),
    count,
    baseOffset,
    baseTimestampMs,
  );
  return {
    baseOffset,
    lastOffset,
    producerId,
    transactional: (attributes & TRANSACTIONAL) !== 0,
    control: (attributes & CONTROL) === 0 ? undefined : controlOf(records),
    records,
  };
}

function readRecords(
  bytes: Buffer,
  count: number,
  baseOffset: bigint,
  baseTimestampMs: number,
): readonly FetchedRecord[] {
  const reader = new WireReader(bytes);
  const records: FetchedRecord[] = [];
  for (let i = 0; i < count; i++) {
    const end = reader.varint() + reader.at;
    reader.int8();
    const timestampMs = baseTimestampMs + reader.varint();
    const offset = baseOffset + BigInt(reader.varint());
    records.push({ offset, timestampMs, key: nullableBytes(reader), value: nullableBytes(reader) });
    reader.at = end;
  }
  return records;
}

function nullableBytes(reader: WireReader): Buffer | null {
  const length = reader.varint();
  return length < 0 ? null : reader.bytes(length);
}

/** The marker's key is its version and its type, two bytes each. https://kafka.apache.org/documentation/#controlbatch */
function controlOf([record]: readonly FetchedRecord[]): 'commit' | 'abort' | undefined {
  const type = record?.key?.readInt16BE(2);
  return type === 0 ? 'abort' : type === 1 ? 'commit' : undefined;
}
