import { randomUUID } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type {
  Mapping,
  Rejection,
  Route,
  Sink,
  SinkBatch,
  SinkContext,
  WriteResult,
} from '../../src/delivery/sink.ts';
import { writeItems } from '../../src/delivery/write-items.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import type { RecordEncoder } from '../../src/events/formats/contract.ts';
import { writeLine } from '../../src/events/formats/ndjson.ts';
import { createRecordEncoder } from '../../src/events/formats/record-format.ts';
import { type Checkpoint, restoreCheckpoint } from '../../src/events/position.ts';
import type { Relation } from '../../src/events/relation.ts';
import { identityOf } from '../../src/pipeline/source-identity.ts';
import { Compressor } from './compressor.ts';
import type { FileConfig, FileMapping } from './config.ts';
import { DirectoryLock } from './directory-lock.ts';
import { fileError } from './file-errors.ts';
import { fileNames, parseRotatedName } from './file-name.ts';
import { FileSet } from './file-set.ts';
import { LineFile } from './line-file.ts';
import { PositionFile, type StoredPosition } from './position-file.ts';
import { recoverFile } from './recover-files.ts';
import { WriterPool } from './writer-pool.ts';

const AGE_INTERVAL_MS = 1000;

export interface FileRoute extends Route {
  readonly file: LineFile;
  readonly encoder: RecordEncoder;
  readonly records: FileMapping['records'];
}

/** Appends records to files as lines, and keeps its position beside them: after a crash every record is there once. */
export class FileSink implements Sink<FileRoute> {
  readonly #config: FileConfig;
  readonly #context: SinkContext;
  readonly #dir: string;
  readonly #compressor: Compressor;
  readonly #writers = new WriterPool();
  #lock: DirectoryLock | undefined;
  #files: FileSet | undefined;
  #accepted: Checkpoint | undefined;
  #durable: Checkpoint | undefined;
  /** Files whose putting aside was begun and failed on the way. */
  #rotating: readonly LineFile[] = [];
  #agesSeenMs = 0;

  constructor(config: FileConfig, context: SinkContext) {
    this.#config = config;
    this.#context = context;
    this.#dir = resolve(context.baseDir, config.path);
    this.#compressor = new Compressor(context.logger);
  }

  async open(): Promise<Checkpoint | undefined> {
    const { pipeline, name, source } = this.#context;
    const owner = { pipeline, sink: name, database: identityOf(source).database };
    try {
      await mkdir(this.#dir, { recursive: true });
      this.#lock ??= new DirectoryLock(this.#dir, { pipeline, sink: name });
    } catch (thrown) {
      throw fileError(thrown, 'make', this.#dir);
    }
    const position = new PositionFile(this.#dir, randomUUID());
    const stored = await position.read();
    if (stored !== undefined) this.#assertOwner(stored, owner);
    const files = new FileSet(this.#dir, owner, position);
    for (const [file, state] of Object.entries(stored?.files ?? {})) {
      const recovered = await recoverFile(this.#dir, file, state);
      files.add(new LineFile(this.#dir, file, recovered.state));
      if (recovered.cutBytes === 0) continue;
      this.#context.logger.info(
        { file, bytes: recovered.cutBytes },
        'lines behind the position cut off, they come again',
      );
    }
    const checkpoint = stored?.checkpoint ?? undefined;
    this.#accepted = this.#durable = checkpoint === undefined ? undefined : restoreCheckpoint(checkpoint);
    await files.store(this.#durable);
    this.#files = files;
    await this.#compressLeftovers(files);
    return this.#durable;
  }

  async prepare(mapping: Mapping, relation: Relation): Promise<FileRoute> {
    const options = mapping.options as FileMapping;
    const { pipeline, database, version, runId, clock } = this.#context;
    const name = fileNames(options.file ?? this.#config.file, { pipeline, database })(relation);
    const file = this.#opened().get(name);
    await this.#opened().assertOurs(file);
    const { file: _, records, ...format } = options;
    const encoder = createRecordEncoder(format, relation, {
      topicPrefix: pipeline,
      database,
      version,
      runId,
      nowMs: () => clock.nowMs(),
    });
    return { destination: name, parts: (event) => encoder.parts(event), file, encoder, records };
  }

  async write(batch: SinkBatch<FileRoute>): Promise<WriteResult> {
    const addressed = new Set<LineFile>();
    try {
      const rejected = encode(batch, addressed, this.#writers);
      if (rejected.length > 0) return { accepted: this.#accepted, rejected };
      // Tombstones may have left nothing to write.
      const touched = new Set([...addressed].filter(({ lines }) => lines !== undefined && lines.length > 0));
      await this.#makeRoom(touched);
      await append([...touched]);
      const nowMs = this.#context.clock.nowMs();
      for (const file of touched) file.accept(nowMs);
      this.#accepted = batch.to;
      return { accepted: batch.to, rejected: [] };
    } finally {
      for (const file of addressed) {
        if (file.lines !== undefined) this.#writers.give(file.lines);
        file.lines = undefined;
      }
    }
  }

  async flush(): Promise<Checkpoint | undefined> {
    await this.#opened().store(this.#accepted);
    this.#durable = this.#accepted;
    return this.#durable;
  }

  async close(): Promise<void> {
    await this.#compressor.close();
    await this.#files?.close();
    this.#files = undefined;
    this.#lock?.release();
    this.#lock = undefined;
  }

  /** For tests: resolves when every file put aside so far is compressed. */
  compressed(): Promise<void> {
    return this.#compressor.idle();
  }

  /** Puts aside what is full or old, and registers what is new, before the lines go in. */
  async #makeRoom(touched: ReadonlySet<LineFile>): Promise<void> {
    const files = this.#opened();
    const due = new Set([...this.#rotating, ...this.#due(touched)]);
    const fresh = [...touched].filter((file) => !file.registered);
    for (const file of fresh) await files.assertOurs(file);
    for (const file of fresh) file.registered = true;
    if (due.size > 0) {
      this.#rotating = [...due];
      const paths = await files.rotate(this.#rotating, this.#accepted);
      this.#rotating = [];
      if (this.#config.rotate?.compress === 'gzip') for (const path of paths) this.#compressor.add(path);
    } else if (fresh.length > 0 || files.isCrowded(touched)) {
      await files.store(this.#accepted).catch((thrown: unknown) => {
        for (const file of fresh) file.registered = false;
        throw thrown;
      });
    } else {
      return;
    }
    this.#durable = this.#accepted;
  }

  /** Size matters for files that are about to grow; age for all, looked at once a second. */
  #due(touched: ReadonlySet<LineFile>): LineFile[] {
    const { bytes, age } = this.#config.rotate ?? {};
    const due: LineFile[] = [];
    if (bytes !== undefined) {
      for (const file of touched) {
        if (file.size > 0 && file.size + (file.lines?.length ?? 0) > bytes) due.push(file);
      }
    }
    const nowMs = this.#context.clock.nowMs();
    if (age !== undefined && Math.abs(nowMs - this.#agesSeenMs) >= AGE_INTERVAL_MS) {
      this.#agesSeenMs = nowMs;
      for (const file of this.#opened().all) if (file.size > 0 && nowMs - file.sinceMs >= age) due.push(file);
    }
    return due;
  }

  #assertOwner(stored: StoredPosition, owner: Pick<StoredPosition, 'pipeline' | 'sink' | 'database'>): void {
    const differs = (['pipeline', 'sink', 'database'] as const).find((each) => stored[each] !== owner[each]);
    if (differs === undefined) return;
    throw new TailraceError({
      code: 'E_SINK_FOREIGN',
      message: `${this.#dir} belongs to ${differs} ${stored[differs]}, not to ${owner[differs]}.`,
      fix: 'Give the sink another `path`, or move the directory away.',
    });
  }

  /** What was put aside and not yet compressed when the last run ended. */
  async #compressLeftovers(files: FileSet): Promise<void> {
    if (this.#config.rotate?.compress !== 'gzip') return;
    const there = await readdir(this.#dir, { recursive: true });
    for (const entry of there) {
      const rotated = parseRotatedName(entry.replaceAll('\\', '/'));
      const file = rotated === undefined ? undefined : files.find(rotated.name);
      if (rotated === undefined || file === undefined || rotated.number > file.rotations) continue;
      this.#compressor.add(join(this.#dir, entry));
    }
  }

  #opened(): FileSet {
    if (this.#files === undefined) throw new Error('The sink is not open.');
    return this.#files;
  }
}

function encode(batch: SinkBatch<FileRoute>, addressed: Set<LineFile>, writers: WriterPool): Rejection[] {
  return writeItems(batch, ({ event, route, part }) => {
    const { file } = route;
    addressed.add(file);
    writeLine(route, event, part, (file.lines ??= writers.take()));
  });
}

/** All or nothing, as far as the disk allows: what a failed write left behind is cut off at once, or before the next one. */
async function append(files: readonly LineFile[]): Promise<void> {
  try {
    for (const file of files) {
      await file.append().catch((thrown: unknown) => {
        throw fileError(thrown, 'write', file.path);
      });
    }
  } catch (thrown) {
    await Promise.allSettled(files.map((file) => file.cut()));
    throw thrown;
  }
}
