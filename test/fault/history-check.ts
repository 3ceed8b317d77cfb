import type { Change } from './traffic.ts';

/** A record of a change stream, as a reader of the sink sees it. Deletes of a key-only identity do not know their `n`. */
export interface SeenChange {
  readonly key: string;
  readonly op: string;
  readonly n: number | undefined;
}

export interface HistoryVerdict {
  readonly changes: number;
  /** What is wrong, a line each; at most a few. */
  readonly problems: readonly string[];
}

/** Compares what was seen, in its order, with what was committed: every change once, in order per key. */
export function checkHistory(
  committed: ReadonlyMap<string, readonly Change[]>,
  seen: readonly SeenChange[],
): HistoryVerdict {
  const byKey = Map.groupBy(seen, (change) => change.key);
  const problems: string[] = [];
  for (const key of byKey.keys()) {
    if (!committed.has(key)) problems.push(`${key}: seen, never committed`);
  }
  for (const [key, changes] of committed) {
    const wanted = [...changes].sort((a, b) => a.n - b.n).map((change) => describe(change.op, change.n));
    const got = (byKey.get(key) ?? []).map((change) => describe(change.op, change.n));
    const at = wanted.findIndex((change, i) => change !== got[i]);
    if (at >= 0 || wanted.length !== got.length) {
      const from = Math.max(0, (at < 0 ? wanted.length : at) - 2);
      problems.push(
        `${key}: wanted ... ${wanted.slice(from, from + 6).join(' ')}, got ... ${got.slice(from, from + 6).join(' ')}`,
      );
    }
  }
  return { changes: seen.length, problems: problems.slice(0, 10) };
}

function describe(op: string, n: number | undefined): string {
  return op === 'd' ? 'd' : `${op}${n}`;
}
