import type { Clock } from '../../../src/clock.ts';
import { asTailraceError, type TailraceError } from '../../../src/errors/tailrace-error.ts';

/** After a failure, at least this long until the next try. */
const RETRY_MS = 5000;

export interface PeriodicStatement {
  readonly intervalMs: number;
  readonly run: (signal: AbortSignal) => Promise<void>;
}

export interface SideStatementsOptions {
  readonly statements: readonly PeriodicStatement[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onFailed: (error: TailraceError) => void;
}

/**
 * Runs statements at their intervals beside the stream, one at a time, until the signal aborts. Never rejects: a failure is reported, the stream does without
 * it, and the statement is tried again.
 */
export async function runSideStatements(options: SideStatementsOptions): Promise<void> {
  const { clock, signal } = options;
  const due = options.statements.map((statement) => ({ statement, atMs: clock.monotonicMs() }));
  for (;;) {
    const next = due.reduce((a, b) => (b.atMs < a.atMs ? b : a), due[0] as (typeof due)[number]);
    try {
      await clock.sleep(Math.max(0, next.atMs - clock.monotonicMs()), signal);
      await next.statement.run(signal);
      next.atMs = clock.monotonicMs() + next.statement.intervalMs;
    } catch (error) {
      if (signal.aborted) return;
      options.onFailed(asTailraceError(error));
      next.atMs = clock.monotonicMs() + Math.max(RETRY_MS, next.statement.intervalMs);
    }
  }
}
