import type { RelationDefinition } from '../../src/events/relation.ts';
import { KIND } from '../../src/events/tuple/tuple-layout.ts';
import { KEY_TUPLE, NEW_TUPLE, OLD_TUPLE } from './pgoutput/row-structure.ts';

const TEXT = KIND.text;
const NOT_CAPTURED = KIND.notCaptured;

const INITIAL_BYTES = 8 * 1024;

/** The rewritten body: `bytes[0, length)`, valid until the next row. */
export interface CapturedBody {
  readonly bytes: Buffer;
  readonly length: number;
}

/**
 * Drops the values of excluded columns from a row's body, before anything of it is kept: in old tuples, keys and new tuples, whatever stood
 * there, so that not even null or unchanged can be told apart. The other columns keep their bytes.
 *
 * One object per relation that has such columns; the rows of all other tables never come here.
 */
export class CaptureRewriter implements CapturedBody {
  bytes: Buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  length = 0;
  readonly #captured: readonly boolean[];

  private constructor(captured: readonly boolean[]) {
    this.#captured = captured;
  }

  /** Undefined when every column is captured. */
  static for(relation: Pick<RelationDefinition, 'columns'>): CaptureRewriter | undefined {
    const captured = relation.columns.map((column) => column.captured);
    return captured.includes(false) ? new CaptureRewriter(captured) : undefined;
  }

  /** `source[start, end)` is a body that `checkRow` has accepted for this relation. Returns itself. */
  rewrite(source: Uint8Array, start: number, end: number): CapturedBody {
    // A column shrinks to one byte or stays.
    if (this.bytes.length < end - start) {
      this.bytes = Buffer.allocUnsafe(Math.max(end - start, this.bytes.length * 2));
    }
    this.length = 0;
    let at = start;
    while (at < end) {
      const submessage = source[at];
      if (submessage !== NEW_TUPLE && submessage !== OLD_TUPLE && submessage !== KEY_TUPLE) {
        throw new RangeError(`Not a row's body: submessage ${String(submessage)}`);
      }
      at = this.#tuple(source, at);
    }
    return this;
  }

  /** Copies the submessage's byte, the column count and the columns; returns where the tuple ends. */
  #tuple(source: Uint8Array, start: number): number {
    const captured = this.#captured;
    let from = start;
    let at = start + 3;
    for (let column = 0; column < captured.length; column++) {
      const next = at + (source[at] === TEXT ? 5 + lengthAt(source, at + 1) : 1);
      if (captured[column] !== true) {
        // Runs of captured columns are copied in one piece.
        this.#copy(source, from, at);
        this.bytes[this.length++] = NOT_CAPTURED;
        from = next;
      }
      at = next;
    }
    this.#copy(source, from, at);
    return at;
  }

  #copy(source: Uint8Array, from: number, to: number): void {
    if (from === to) return;
    this.bytes.set(source.subarray(from, to), this.length);
    this.length += to - from;
  }
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}
