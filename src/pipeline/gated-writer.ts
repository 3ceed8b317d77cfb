import type { Clock } from '../clock.ts';
import { TailraceError } from '../errors/tailrace-error.ts';
import type { LogWriter, TransactionHeader } from '../event-log/contract.ts';
import type { Lsn } from '../events/lsn.ts';
import type { Relation, RelationDefinition } from '../events/relation.ts';

/** How long a full disk is left alone before the log is asked again. */
const DISK_RETRY_MS = 1000;

export interface GatedWriterOptions {
  readonly clock: Clock;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
}

/**
 * The log's writing side with a gate: closing it makes the source wait as if the log were full, while its connection stays
 * alive and answers the server. So a shutdown can drain what is there and still confirm it; and a disk that is full is waited for, not
 * answered by connecting again and again.
 */
export class GatedWriter implements LogWriter {
  readonly #log: LogWriter;
  readonly #options: GatedWriterOptions;
  #gate: Promise<void> | undefined;

  constructor(log: LogWriter, options: GatedWriterOptions) {
    this.#log = log;
    this.#options = options;
  }

  /** For good. */
  close(): void {
    this.#gate ??= new Promise(() => {});
  }

  ready(): Promise<void> | undefined {
    return this.#gate ?? this.#log.ready()?.catch((error: unknown) => this.#outwait(error));
  }

  async #outwait(thrown: unknown): Promise<void> {
    const { clock, signal } = this.#options;
    for (let error = thrown; ; ) {
      if (!(error instanceof TailraceError && error.retriable)) throw error;
      await clock.sleep(DISK_RETRY_MS, signal);
      if (this.#gate !== undefined) return this.#gate;
      try {
        await this.#log.ready();
        return;
      } catch (again) {
        error = again;
      }
    }
  }

  get synced(): Lsn {
    return this.#log.synced;
  }

  get appended(): Lsn {
    return this.#log.appended;
  }

  relation(definition: RelationDefinition): Relation {
    return this.#log.relation(definition);
  }

  begin(transaction: TransactionHeader): void {
    this.#log.begin(transaction);
  }

  append(event: Parameters<LogWriter['append']>[0]): void {
    this.#log.append(event);
  }

  commit(endLsn: Lsn): void {
    this.#log.commit(endLsn);
  }

  message(lsn: Lsn, body: Uint8Array): void {
    this.#log.message(lsn, body);
  }

  rollback(): void {
    this.#log.rollback();
  }

  progress(endLsn: Lsn): void {
    this.#log.progress(endLsn);
  }

  onSynced(listener: () => void): void {
    this.#log.onSynced(listener);
  }
}
