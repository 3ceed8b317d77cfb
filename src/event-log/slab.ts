/**
 * A piece of the log in memory: consecutive blocks, byte for byte as on disk. Shared memory, so that workers can read it.
 * Batches pin the slabs their events lie in; a slab is used again only when nobody does.
 */
export class Slab {
  readonly buffer: Buffer;
  readonly view: DataView;
  readonly capacity: number;
  /** Log offset of its first byte. */
  base = 0;
  /** Bytes that hold log; for the slab being written, as of when it was last closed. */
  length = 0;
  readonly #pool: SlabPool;
  #pins = 0;
  #retired = false;

  constructor(capacity: number, pool: SlabPool) {
    const memory = new SharedArrayBuffer(capacity);
    this.buffer = Buffer.from(memory);
    this.view = new DataView(memory);
    this.capacity = capacity;
    this.#pool = pool;
  }

  get end(): number {
    return this.base + this.length;
  }

  pin(): void {
    this.#pins += 1;
  }

  unpin(): void {
    this.#pins -= 1;
    if (this.#pins === 0 && this.#retired) this.#pool.giveBack(this);
  }

  /** Its owner needs it no more: from the last unpin on its memory may hold something else. */
  retire(): void {
    this.#retired = true;
    if (this.#pins === 0) this.#pool.giveBack(this);
  }

  reset(base: number): void {
    this.base = base;
    this.length = 0;
    this.#retired = false;
  }
}

/** Slabs of one size to use again, so that a steady stream allocates nothing. Larger ones are made to measure and not kept. */
export class SlabPool {
  readonly #slabBytes: number;
  readonly #maxFree: number;
  readonly #free: Slab[] = [];

  constructor(slabBytes: number, maxFree: number) {
    this.#slabBytes = slabBytes;
    this.#maxFree = maxFree;
  }

  take(base: number, minBytes: number): Slab {
    const fits = minBytes <= this.#slabBytes;
    const slab = (fits ? this.#free.pop() : undefined) ?? new Slab(Math.max(minBytes, this.#slabBytes), this);
    slab.reset(base);
    return slab;
  }

  giveBack(slab: Slab): void {
    if (slab.capacity === this.#slabBytes && this.#free.length < this.#maxFree) this.#free.push(slab);
  }
}
