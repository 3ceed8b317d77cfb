import { type Clock, systemClock } from '../clock.ts';
import type { TailraceError } from '../errors/tailrace-error.ts';
import type { Lsn } from '../events/lsn.ts';
import type { Position } from '../events/position.ts';
import type { Relation, RelationDefinition } from '../events/relation.ts';
import { type Logger, silentLogger } from '../observe/logger.ts';
import { Appender } from './appender.ts';
import type {
  AdminAddress,
  EventLog,
  EventLogOptions,
  LogFacts,
  LogIdentity,
  LogReader,
  LogWriter,
  TransactionHeader,
} from './contract.ts';
import type { DirectoryLock } from './directory-lock.ts';
import { DiskWriter } from './disk-writer.ts';
import { type FileSystem, nodeFileSystem } from './file-system.ts';
import { LargeTransactions } from './large-transactions.ts';
import { misuse } from './log-errors.ts';
import { SegmentReader } from './log-reader.ts';
import type { RecoveredLog } from './recovery.ts';
import type { Segment } from './segment-index.ts';
import { SegmentRemover } from './segment-remover.ts';
import { SlabPool } from './slab.ts';
import type { StateFile } from './state-file.ts';
import { Tail } from './tail.ts';
import { WakeUp } from './wake-up.ts';

/** Size of a piece of the tail; smaller where the tail is small. */
const SLAB_BYTES = 1024 * 1024;
const MIN_SLAB_BYTES = 64 * 1024;
const SLABS_IN_TAIL = 8;
/** See docs/decisions on the event log's format. */
const BLOCK_BYTES = 128 * 1024;
const READ_BYTES = 1024 * 1024;

/** Beside what the contract asks for: the outside world, and sizes that only tests have a reason to change. */
export interface LogInternals {
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
  readonly fileSystem?: FileSystem | undefined;
  /** A piece of the tail. */
  readonly slabBytes?: number | undefined;
  /** A checksum's reach. */
  readonly blockBytes?: number | undefined;
  /** What a reader behind the tail reads at once. */
  readonly readBytes?: number | undefined;
}

export interface SegmentedLogOptions extends EventLogOptions, LogInternals {
  readonly recovered: RecoveredLog;
  readonly state: StateFile;
  readonly lock: DirectoryLock;
}

/** The event log of one pipeline: segments on disk, their newest part in memory. */
export class SegmentedLog implements EventLog {
  readonly #options: SegmentedLogOptions & { readonly clock: Clock; readonly logger: Logger };
  readonly #fileSystem: FileSystem;
  readonly #recovered: RecoveredLog;
  readonly #tail: Tail;
  readonly #large = new LargeTransactions();
  readonly #appender: Appender;
  readonly #disk: DiskWriter;
  readonly #remover: SegmentRemover;
  /** More is visible to readers. */
  readonly #moved = new WakeUp();
  /** What `ready()` waits for may have come. */
  readonly #eased = new WakeUp();
  readonly #readers = new Set<SegmentReader>();
  readonly #syncedListeners: (() => void)[] = [];
  #waiting: Promise<void> | undefined;
  #first: Position | undefined;
  #newestSeen: Segment | undefined;
  #closed = false;

  constructor(options: SegmentedLogOptions) {
    const {
      clock = systemClock,
      logger = silentLogger,
      fileSystem = nodeFileSystem,
      recovered,
      dir,
    } = options;
    const { blockBytes = BLOCK_BYTES, tailBytes } = options;
    this.#options = { ...options, clock, logger };
    this.#fileSystem = fileSystem;
    this.#recovered = recovered;
    const { index, registry, end } = recovered;
    const slabBytes = options.slabBytes ?? clamp(tailBytes / SLABS_IN_TAIL, MIN_SLAB_BYTES, SLAB_BYTES);
    this.#tail = new Tail(tailBytes);
    this.#newestSeen = index.last;
    this.#appender = new Appender({
      dir,
      tail: this.#tail,
      // What one sync lets go of is what the next group takes.
      pool: new SlabPool(slabBytes, Math.ceil(options.maxUnsyncedBytes / slabBytes)),
      index,
      registry,
      large: this.#large,
      segmentBytes: this.#segmentBytes,
      blockBytes,
      end,
      unfinished: recovered.unfinished,
      described: recovered.described,
      nowMs: () => clock.nowMs(),
      syncedOffset: () => this.#disk.synced.offset,
      onVisible: () => this.#onVisible(),
      onBlock: () => this.#disk.appended(),
    });
    this.#disk = new DiskWriter({
      fileSystem,
      dir,
      appender: this.#appender,
      index,
      tail: this.#tail,
      clock,
      syncIntervalMs: options.syncIntervalMs,
      maxUnsyncedBytes: options.maxUnsyncedBytes,
      synced: { offset: end.offset, endLsn: end.endLsn, last: end.last },
      mayWrite: () => options.lock.assertOwned(),
      onSynced: () => this.#onSynced(),
      onFailure: (failure) => this.#onFailure(failure),
    });
    this.#remover = new SegmentRemover({
      ...this.#options,
      index,
      fileSystem,
      segmentBytes: this.#segmentBytes,
      end: () => this.#appender.offset,
      syncedOffset: () => this.#disk.synced.offset,
      onRemoved: async () => {
        this.#first = await this.#peekFirst();
        this.#eased.wake();
      },
    });
  }

  /** Once, before it is handed out. */
  async start(): Promise<void> {
    this.#appender.start();
    this.#first = await this.#peekFirst();
  }

  get facts(): LogFacts {
    const { index } = this.#recovered;
    const { endLsn, last } = this.#disk.synced;
    return {
      identity: this.#options.state.state?.identity,
      first: this.#first,
      startLsn: index.first?.startLsn ?? 0n,
      endLsn,
      last,
      bytes: this.#bytes,
      segments: index.all.length,
    };
  }

  get full(): boolean {
    return this.#bytes >= this.#options.limitBytes;
  }

  get failed(): TailraceError | undefined {
    return this.#disk.failure;
  }

  get replayed(): number {
    return this.#appender.replayed;
  }

  get source(): string {
    const identity = this.#options.state.state?.identity;
    if (identity === undefined) throw misuse('it does not know its database before setIdentity');
    return `${identity.database}#${identity.generation}`;
  }

  get synced(): Lsn {
    return this.#disk.synced.endLsn;
  }

  get appended(): Lsn {
    return this.#appender.endLsn;
  }

  relation(definition: RelationDefinition): Relation {
    return this.#recovered.registry.define(definition);
  }

  begin(transaction: TransactionHeader): void {
    this.#appender.begin(transaction);
  }

  append(event: Parameters<LogWriter['append']>[0]): void {
    this.#appender.append(event);
  }

  commit(endLsn: Lsn): void {
    this.#appender.commit(endLsn);
  }

  message(lsn: Lsn, body: Uint8Array): void {
    this.#appender.message(lsn, body);
  }

  rollback(): void {
    this.#appender.rollback();
  }

  progress(endLsn: Lsn): void {
    this.#appender.progress(endLsn);
  }

  ready(): Promise<void> | undefined {
    if (!this.#mustWait) return undefined;
    this.#waiting ??= this.#waitUntilReady().finally(() => {
      this.#waiting = undefined;
    });
    return this.#waiting;
  }

  onSynced(listener: () => void): void {
    this.#syncedListeners.push(listener);
  }

  sync(): Promise<void> {
    return this.#disk.sync();
  }

  read(after: Position | undefined, name: string): LogReader {
    const reader = new SegmentReader({
      fileSystem: this.#fileSystem,
      tail: this.#tail,
      index: this.#recovered.index,
      readBytes: this.#options.readBytes ?? READ_BYTES,
      visible: () => this.#appender.visible,
      syncedOffset: () => this.#disk.synced.offset,
      name,
      after,
      registry: this.#recovered.registry,
      large: this.#large,
      clock: this.#options.clock,
      checkpointSource: () => this.source,
      moved: this.#moved,
      logClosed: () => this.#closed,
      onClose: () => this.#readers.delete(reader),
    });
    this.#readers.add(reader);
    return reader;
  }

  async setIdentity(identity: LogIdentity): Promise<void> {
    await this.#options.state.update({ identity });
  }

  setAdmin(admin: AdminAddress): Promise<void> {
    return this.#options.lock.setAdmin(admin);
  }

  async restartAt(startLsn: Lsn): Promise<void> {
    await this.#disk.sync();
    this.#appender.restart(startLsn);
    const { index } = this.#recovered;
    const old = index.removeFirst(index.all.length - 1);
    this.#tail.clear();
    this.#first = undefined;
    // From here on a new start drops what is left of the old log by itself.
    await this.#disk.sync();
    await this.#remover.unlink(old);
    this.#eased.wake();
  }

  releaseBelow(position: Position): Promise<number> {
    return this.#remover.release(position);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { state, lock, logger } = this.#options;
    for (const reader of this.#readers) await reader.close();
    await this.#remover.close();
    await this.#disk.close();
    this.#eased.wake();
    if (this.failed === undefined) {
      await state.update({ end: this.#disk.synced.offset }).catch((error: unknown) => {
        logger.warn({ err: error }, 'the end of the event log could not be noted');
      });
    }
    await lock.release();
  }

  /** At the limit there has to be room for what is being written while old segments go. */
  get #segmentBytes(): number {
    return Math.min(this.#options.segmentBytes, Math.floor(this.#options.limitBytes / 4));
  }

  get #bytes(): number {
    const first = this.#recovered.index.first;
    return first === undefined ? 0 : this.#appender.offset - first.base;
  }

  get #mustWait(): boolean {
    const { maxUnsyncedBytes } = this.#options;
    return this.failed !== undefined || this.full || this.#disk.unsyncedBytes >= maxUnsyncedBytes;
  }

  async #waitUntilReady(): Promise<void> {
    while (this.#mustWait) {
      if (this.#closed) throw misuse('it was closed while its writer waited');
      if (this.failed !== undefined) throw this.failed;
      // The block being written may be all that is unsynced: nobody else would call for a sync.
      this.#disk.appended();
      if (this.full) this.#remover.removeInBackground();
      await this.#eased.wait();
    }
  }

  #onVisible(): void {
    if (this.#first === undefined) {
      const { commitLsn, seq } = this.#appender.last;
      if (commitLsn > 0n) this.#first = { commitLsn, seq: Math.min(seq, 1) };
    }
    this.#moved.wake();
    this.#disk.appended();
  }

  #onSynced(): void {
    const newest = this.#recovered.index.last;
    if (newest !== this.#newestSeen) {
      this.#newestSeen = newest;
      this.#remover.removeInBackground();
    }
    this.#eased.wake();
    for (const listener of this.#syncedListeners) listener();
  }

  #onFailure(failure: TailraceError | undefined): void {
    const { logger } = this.#options;
    if (failure === undefined) logger.info({}, 'the event log can be written again');
    else logger.error({ code: failure.code, err: failure }, failure.message);
    this.#eased.wake();
  }

  /** Ends this log's writing because of something outside. */
  stop(error: TailraceError): void {
    this.#disk.stop(error);
  }

  async #peekFirst(): Promise<Position | undefined> {
    const reader = this.read(undefined, 'The log') as SegmentReader;
    try {
      return await reader.peek();
    } finally {
      await reader.close();
    }
  }
}

function clamp(value: number, min: number, max: number): number {
  return Math.floor(Math.min(max, Math.max(min, value)));
}
