import { DatabaseError } from 'pg';
import type { Clock } from '../../../src/clock.ts';
import type { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { OBJECT_IN_USE, type SlotHolder } from './stream-errors.ts';

const RETRY_MS = 250;
/** Beyond wal_sender_timeout, after which the server gives up a client that has vanished. */
const SLACK_MS = 5000;
/** Without a time-out the server notices a vanished client when TCP does, if ever. */
const PATIENCE_WITHOUT_TIMEOUT_MS = 60_000;

export interface SlotAcquisition {
  readonly walSenderTimeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Issues START_REPLICATION once. */
  readonly start: () => Promise<void>;
  /** Who holds the slot; undefined when nobody does any more. */
  readonly holder: () => Promise<SlotHolder | undefined>;
  /** Called when waiting begins. */
  readonly onWaiting: (holder: SlotHolder | undefined) => void;
  readonly giveUp: (holder: SlotHolder | undefined, waitedMs: number, cause: unknown) => TailraceError;
}

/** After a crash of ours the slot is still held by a walsender that does not know yet: waits for it, then names the holder. */
export async function acquireSlot(options: SlotAcquisition): Promise<void> {
  const { clock, signal, walSenderTimeoutMs } = options;
  const patienceMs = walSenderTimeoutMs === 0 ? PATIENCE_WITHOUT_TIMEOUT_MS : walSenderTimeoutMs + SLACK_MS;
  const startedMs = clock.monotonicMs();
  for (let tries = 1; ; tries++) {
    try {
      await options.start();
      return;
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.code !== OBJECT_IN_USE) throw error;
      const holder = await options.holder();
      const waitedMs = clock.monotonicMs() - startedMs;
      if (waitedMs >= patienceMs) throw options.giveUp(holder, waitedMs, error);
      if (tries === 1) options.onWaiting(holder);
      await clock.sleep(RETRY_MS, signal);
    }
  }
}
