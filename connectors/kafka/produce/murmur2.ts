const SEED = 0x9747b28c | 0;
const M = 0x5bd1e995;

/**
 * The hash Kafka's Java clients place keys by, over `bytes[start, end)`, as a signed 32-bit number. Records of other producers with the same
 * key bytes then share our partitions, which co-partitioned joins rely on.
 * https://github.com/apache/kafka/blob/4.3.1/clients/src/main/java/org/apache/kafka/common/utils/Utils.java (murmur2)
 */
export function murmur2(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  const length = end - start;
  let h = SEED ^ length;
  let at = start;
  for (const last = end - 3; at < last; at += 4) {
    let k =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    h = Math.imul(h, M) ^ Math.imul(k, M);
  }
  const rest = end - at;
  if (rest === 3) h ^= (bytes[at + 2] as number) << 16;
  if (rest >= 2) h ^= (bytes[at + 1] as number) << 8;
  if (rest >= 1) h = Math.imul(h ^ (bytes[at] as number), M);
  h ^= h >>> 13;
  h = Math.imul(h, M);
  h ^= h >>> 15;
  return h | 0;
}

/** The partition Java's default partitioner gives a key: the hash without its sign bit, modulo. */
export function partitionOf(hash: number, partitions: number): number {
  return (hash & 0x7fff_ffff) % partitions;
}
