import type { Slab } from './slab.ts';

/** The newest part of the log in memory: a ring of slabs, the last of which is being written. */
export class Tail {
  readonly #maxBytes: number;
  readonly #slabs: Slab[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(slab: Slab): void {
    this.#slabs.push(slab);
    this.#bytes += slab.capacity;
  }

  /**
   * The slab that holds the frame at `offset`, or the one that begins next when a slab ends there; undefined when it is only on disk.
   * `offset` must not be at or beyond the end of the log.
   */
  find(offset: number): Slab | undefined {
    const slabs = this.#slabs;
    for (let i = slabs.length - 1; i >= 0; i--) {
      const slab = slabs[i] as Slab;
      if (slab.base > offset) continue;
      return i === slabs.length - 1 || offset < slab.end ? slab : slabs[i + 1];
    }
    return undefined;
  }

  /** The slab being written, or the one written last. */
  isLast(slab: Slab): boolean {
    return this.#slabs.at(-1) === slab;
  }

  /** Views of the bytes from one log offset to another, in order. */
  slices(from: number, to: number): Uint8Array[] {
    const slices: Uint8Array[] = [];
    for (const slab of this.#slabs) {
      if (slab.base >= to) break;
      const start = Math.max(from - slab.base, 0);
      const end = Math.min(to - slab.base, slab.length);
      if (start < end) slices.push(slab.buffer.subarray(start, end));
    }
    return slices;
  }

  /** Drops the oldest slabs beyond the size, as far as they are on disk. The one being written stays. */
  trim(syncedOffset: number): void {
    while (this.#bytes > this.#maxBytes && this.#slabs.length > 1) {
      const oldest = this.#slabs[0] as Slab;
      if (oldest.end > syncedOffset) return;
      this.#drop();
    }
  }

  clear(): void {
    while (this.#slabs.length > 0) this.#drop();
  }

  #drop(): void {
    const slab = this.#slabs.shift() as Slab;
    this.#bytes -= slab.capacity;
    slab.retire();
  }
}
