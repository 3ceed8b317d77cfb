import type { LogWriter, TransactionHeader } from '../event-log/contract.ts';
import type { Lsn } from '../events/lsn.ts';
import type { Relation, RelationDefinition } from '../events/relation.ts';

/**
 * The log's writing side with a gate: closing it makes the source wait as if the log were full, while its connection stays
 * alive and answers the server. So a shutdown can drain what is there and still confirm it.
 */
export class GatedWriter implements LogWriter {
  readonly #log: LogWriter;
  #gate: Promise<void> | undefined;
  #open: (() => void) | undefined;

  constructor(log: LogWriter) {
    this.#log = log;
  }

  close(): void {
    this.#gate ??= new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#gate = undefined;
    this.#open?.();
  }

  ready(): Promise<void> | undefined {
    return this.#gate ?? this.#log.ready();
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
