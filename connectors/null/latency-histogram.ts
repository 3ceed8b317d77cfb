/** Buckets per doubling: a quantile is exact to less than one part in 64. */
const PER_DOUBLING_BITS = 6;
const PER_DOUBLING = 1 << PER_DOUBLING_BITS;
const DOUBLINGS = 36;

/**
 * Counts of microseconds in buckets that grow with the value, as HdrHistogram's do: fixed memory, and quantiles with a known error.
 * Values up to about 19 hours; larger ones count as that.
 */
export class LatencyHistogram {
  readonly #counts = new Float64Array(PER_DOUBLING * (DOUBLINGS - PER_DOUBLING_BITS + 1));
  #count = 0;
  #maxUs = 0;

  get count(): number {
    return this.#count;
  }

  get maxUs(): number {
    return this.#maxUs;
  }

  /** `times`: so many events with this latency. Negative ones (clocks that disagree) count as zero. */
  record(us: number, times = 1): void {
    const value = Math.max(0, Math.floor(us));
    const bucket = Math.min(bucketOf(value), this.#counts.length - 1);
    this.#counts[bucket] = (this.#counts[bucket] as number) + times;
    this.#count += times;
    if (value > this.#maxUs) this.#maxUs = value;
  }

  /** The latency that a share `q` (0 to 1) of the events did not exceed, in microseconds; undefined when there are none. */
  quantileUs(q: number): number | undefined {
    if (this.#count === 0) return undefined;
    const wanted = Math.max(1, Math.ceil(q * this.#count));
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket] as number;
      if (seen >= wanted) return Math.min(upperBoundOf(bucket), this.#maxUs);
    }
    return this.#maxUs;
  }
}

/** Below 64 one bucket per microsecond; then 64 per doubling. */
function bucketOf(value: number): number {
  if (value < PER_DOUBLING) return value;
  const doubling = Math.floor(Math.log2(value));
  const within = Math.floor(value / 2 ** (doubling - PER_DOUBLING_BITS)) - PER_DOUBLING;
  return PER_DOUBLING * (doubling - PER_DOUBLING_BITS + 1) + within;
}

function upperBoundOf(bucket: number): number {
  if (bucket < PER_DOUBLING) return bucket;
  const doubling = Math.floor(bucket / PER_DOUBLING) + PER_DOUBLING_BITS - 1;
  const within = bucket % PER_DOUBLING;
  return (PER_DOUBLING + within + 1) * 2 ** (doubling - PER_DOUBLING_BITS) - 1;
}
