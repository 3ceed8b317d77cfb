import type { RecordHeader } from '../../../src/events/formats/contract.ts';
import type { PartitionRecords } from '../produce/record-window.ts';
import { crc32c } from './crc32c.ts';
import { varintBytes, WireWriter } from './wire-writer.ts';

/** https://kafka.apache.org/documentation/#recordbatch */
export const BATCH_HEADER_BYTES = 61;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const TRANSACTIONAL = 0x10;

export type CompressionCode = 0 | 1 | 4;

export interface BatchIdentity {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly transactional: boolean;
}

/** Appends one record batch. `compressed`: what `writeRecords` of the same records gave, compressed. */
export function writeBatch(
  out: WireWriter,
  records: PartitionRecords,
  identity: BatchIdentity,
  compressed?: { readonly code: CompressionCode; readonly records: Uint8Array },
): void {
  const start = out.length;
  const { indices, window } = records;
  const firstMs = window.timestampMs(indices[0] as number);
  let maxMs = firstMs;
  for (const at of indices) maxMs = Math.max(maxMs, window.timestampMs(at));

  out.int64(0n).int32(0).int32(-1).int8(2).int32(0);
  out.int16((compressed?.code ?? 0) | (identity.transactional ? TRANSACTIONAL : 0));
  out.int32(indices.length - 1);
  out.int64(BigInt(firstMs)).int64(BigInt(maxMs));
  out.int64(identity.producerId).int16(identity.producerEpoch).int32(identity.baseSequence);
  out.int32(indices.length);
  if (compressed === undefined) writeRecords(out, records);
  else out.bytes(compressed.records);

  out.buffer.writeInt32BE(out.length - start - 12, start + 8);
  out.buffer.writeUInt32BE(crc32c(out.buffer, start + ATTRIBUTES_AT, out.length), start + CRC_AT);
}

/** The records section alone: what a codec compresses. */
export function writeRecords(out: WireWriter, { indices, window }: PartitionRecords): void {
  const firstMs = window.timestampMs(indices[0] as number);
  const source = window.out.buffer;
  for (let i = 0; i < indices.length; i++) {
    const at = indices[i] as number;
    const keyStart = window.keyStart(at);
    const keyBytes = window.keyEnd(at) - keyStart;
    const valueStart = window.valueStart(at);
    const valueBytes = window.valueEnd(at) - valueStart;
    const hasKey = window.keyEnd(at) >= 0;
    const hasValue = window.valueEnd(at) >= 0;
    const deltaMs = window.timestampMs(at) - firstMs;
    const headers = encodedHeaders(window.headers(at));
    const length =
      1 +
      varlongBytes(deltaMs) +
      varintBytes(i) +
      (hasKey ? varintBytes(keyBytes) + keyBytes : 1) +
      (hasValue ? varintBytes(valueBytes) + valueBytes : 1) +
      headers.length;
    out.varint(length).int8(0).varint(deltaMs).varint(i);
    if (hasKey) {
      out.varint(keyBytes).bytes(source, keyStart, keyStart + keyBytes);
    } else {
      out.varint(-1);
    }
    if (hasValue) {
      out.varint(valueBytes).bytes(source, valueStart, valueStart + valueBytes);
    } else {
      out.varint(-1);
    }
    out.bytes(headers);
  }
}

function varlongBytes(value: number): number {
  // Zig-zag doubles the magnitude; seven bits a byte.
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  let bytes = 1;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

const known = new WeakMap<readonly RecordHeader[], Buffer>();
const NO_HEADERS = Buffer.from([0]);

/** Encoders share the arrays between records: each is written once. */
function encodedHeaders(headers: readonly RecordHeader[]): Buffer {
  if (headers.length === 0) return NO_HEADERS;
  let bytes = known.get(headers);
  if (bytes === undefined) {
    const out = new WireWriter(256);
    out.varint(headers.length);
    for (const { key, value } of headers) {
      out.varint(Buffer.byteLength(key)).utf8(key);
      out.varint(value.length).bytes(value);
    }
    bytes = out.copy();
    known.set(headers, bytes);
  }
  return bytes;
}
