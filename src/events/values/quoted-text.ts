const BACKSLASH = 0x5c;
const QUOTE = 0x22;

/**
 * Reads the double-quoted elements of array and hstore text, in which a backslash stands before a quote or a backslash.
 * After `read` the content is `bytes[start, end)`: a slice of the text itself when nothing was escaped.
 */
export class QuotedText {
  bytes: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
  #scratch = Buffer.alloc(256);

  /** `at` is behind the opening quote. Returns the offset behind the closing one, or -1 when there is none. */
  read(text: Buffer, at: number, limit: number): number {
    let i = at;
    while (i < limit && text[i] !== QUOTE && text[i] !== BACKSLASH) i++;
    if (i < limit && text[i] === QUOTE) {
      this.bytes = text;
      this.start = at;
      this.end = i;
      return i + 1;
    }
    return this.#unescape(text, at, i, limit);
  }

  #unescape(text: Buffer, at: number, firstEscape: number, limit: number): number {
    let close = firstEscape;
    while (close < limit && text[close] !== QUOTE) close += text[close] === BACKSLASH ? 2 : 1;
    if (close >= limit) return -1;
    if (this.#scratch.length < close - at) this.#scratch = Buffer.alloc((close - at) * 2);
    const scratch = this.#scratch;
    text.copy(scratch, 0, at, firstEscape);
    let length = firstEscape - at;
    for (let i = firstEscape; i < close; i++) {
      if (text[i] === BACKSLASH) i++;
      scratch[length++] = text[i] as number;
    }
    this.bytes = scratch;
    this.start = 0;
    this.end = length;
    return close + 1;
  }
}
