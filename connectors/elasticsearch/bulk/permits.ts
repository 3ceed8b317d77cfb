/** Successes in a row after which a halved limit grows again by one step. */
const RECOVERY = 20;

/** Bounds how many requests are on their way. Overload halves the bound at once; it grows back slowly. */
export class Permits {
  readonly #max: number;
  #limit: number;
  #used = 0;
  #calm = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number) {
    this.#max = max;
    this.#limit = max;
  }

  get limit(): number {
    return this.#limit;
  }

  async use<T>(operation: () => Promise<T>): Promise<T> {
    while (this.#used >= this.#limit) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#used++;
    try {
      return await operation();
    } finally {
      this.#used--;
      this.#waiting.shift()?.();
    }
  }

  overloaded(): void {
    this.#limit = Math.max(1, this.#limit >> 1);
    this.#calm = 0;
  }

  succeeded(): void {
    if (this.#limit === this.#max || ++this.#calm < RECOVERY) return;
    this.#calm = 0;
    this.#limit++;
    this.#waiting.shift()?.();
  }
}
