import { comparePositions, type Position } from '../events/position.ts';
import type { SegmentHeader } from './segment-header.ts';

export interface RetentionInput {
  /** In order; the last one is being written. */
  readonly segments: readonly SegmentHeader[];
  /** Log offset behind the last frame. */
  readonly end: number;
  /** Nobody needs what is at or before it. */
  readonly released: Position;
  readonly nowMs: number;
  readonly retainAgeMs: number;
  readonly retainBytes: number;
  /** Room that is kept free below the disk limit comes before history. */
  readonly roomBytes: number;
  readonly limitBytes: number;
}

/**
 * How many of the oldest segments can go. Released history is kept while it is younger than the age and the log smaller than the
 * bytes; the disk limit comes first. Never in the middle of a transaction: what is left begins with a whole one.
 */
export function segmentsToRemove(input: RetentionInput): number {
  const { segments, end } = input;
  let removable = 0;
  for (let i = 0; i + 1 < segments.length; i++) {
    const next = segments[i + 1] as SegmentHeader;
    if (comparePositions(next.previous, input.released) > 0) break;
    const bytes = end - (segments[i] as SegmentHeader).base;
    const tooOld = input.nowMs - next.createdMs >= input.retainAgeMs;
    const tooMuch = bytes > input.retainBytes || bytes > input.limitBytes - input.roomBytes;
    if (!tooOld && !tooMuch) break;
    if (!next.continues) removable = i + 1;
  }
  return removable;
}
