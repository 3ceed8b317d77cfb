import { join } from 'node:path';
import { comparePositions, type Position } from '../events/position.ts';
import { SEGMENT_HEADER_BYTES, type SegmentHeader, segmentFileName } from './segment-header.ts';

export interface Segment extends SegmentHeader {
  readonly path: string;
}

export function segmentAt(dir: string, header: SegmentHeader): Segment {
  return { ...header, path: join(dir, segmentFileName(header.base)) };
}

/** Log offset of a segment's first frame. */
export function firstFrameOf(segment: SegmentHeader): number {
  return segment.base + SEGMENT_HEADER_BYTES;
}

/** The segments of the log in order; each ends where the next begins. */
export class SegmentIndex {
  #segments: Segment[];

  constructor(segments: readonly Segment[] = []) {
    this.#segments = [...segments];
  }

  get all(): readonly Segment[] {
    return this.#segments;
  }

  get first(): Segment | undefined {
    return this.#segments[0];
  }

  get last(): Segment | undefined {
    return this.#segments.at(-1);
  }

  push(segment: Segment): void {
    this.#segments.push(segment);
  }

  removeFirst(count: number): readonly Segment[] {
    return this.#segments.splice(0, count);
  }

  /** The segment that holds `offset`; the last one when it is beyond the end, undefined when it is before the first. */
  find(offset: number): Segment | undefined {
    const i = this.#lastWhere((segment) => segment.base <= offset);
    return this.#segments[i];
  }

  /** What follows `segment`; undefined when it is the last. */
  next(segment: Segment): Segment | undefined {
    const i = this.#lastWhere((other) => other.base <= segment.base);
    return this.#segments[i + 1];
  }

  /** The last segment to begin with in order to find every event after `position`; undefined when some are gone. */
  seek(position: Position): Segment | undefined {
    // Not a binary search: a transaction that was rolled back and sent again leaves `previous` out of order.
    return this.#segments.findLast((segment) => comparePositions(segment.previous, position) <= 0);
  }

  #lastWhere(holds: (segment: Segment) => boolean): number {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (holds(this.#segments[middle] as Segment)) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
