/** Successes in a row after which a halved size is doubled again. */
const RECOVERY = 20;
/** A bulk is never made smaller than this for its size alone. */
const LEAST_BYTES = 16 * 1024;

/** How large a bulk request may be: what is configured, less for a while when the server finds it too much. */
export class BulkLimits {
  readonly actions: number;
  readonly #maxBytes: number;
  #bytes: number;
  #calm = 0;

  constructor(options: { readonly bytes: number; readonly actions: number }) {
    this.actions = options.actions;
    this.#maxBytes = options.bytes;
    this.#bytes = options.bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A request of this size was too much. */
  tooMuch(bytes: number): void {
    this.#calm = 0;
    this.#bytes = Math.min(this.#bytes, Math.max(LEAST_BYTES, Math.floor(bytes / 2)));
  }

  succeeded(): void {
    if (this.#bytes === this.#maxBytes || ++this.#calm < RECOVERY) return;
    this.#calm = 0;
    this.#bytes = Math.min(this.#maxBytes, this.#bytes * 2);
  }
}
