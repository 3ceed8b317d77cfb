import { join } from 'node:path';
import { TailraceError } from '../errors/tailrace-error.ts';
import { formatLsn, type Lsn } from '../events/lsn.ts';
import { BEFORE_ALL, type Position } from '../events/position.ts';
import type { Logger } from '../observe/logger.ts';
import type { CommittedEnd, LogEnd } from './appender.ts';
import { BLOCK_HEADER_BYTES, blockSyncedOffset, findBlock } from './block.ts';
import { readBlocks } from './block-file.ts';
import { type FileSystem, type LogFile, NEW_SUFFIX, readFully, writeFully } from './file-system.ts';
import {
  beginCommitLsn,
  beginSeqBefore,
  eventWalLsn,
  FIRST_EVENT_KIND,
  FRAME,
  frameEndLsn,
  LAST_KIND,
  RELATION_HEADER_BYTES,
} from './frame-format.ts';
import { corrupt, ioError } from './log-errors.ts';
import { RelationRegistry } from './relation-registry.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES, segmentBaseOf } from './segment-header.ts';
import { firstFrameOf, type Segment, SegmentIndex, segmentAt } from './segment-index.ts';
import { type Slab, SlabPool } from './slab.ts';

const READ_BYTES = 1024 * 1024;
const LOST_BLOCK = 'a block that was on disk is not whole any more';

export interface RecoveryOptions {
  readonly fileSystem: FileSystem;
  readonly dir: string;
  /** Log offset that a clean shutdown noted as the end; 0 when there was none. */
  readonly notedEnd: number;
  readonly logger: Logger;
}

export interface RecoveredLog {
  readonly index: SegmentIndex;
  readonly registry: RelationRegistry;
  readonly end: LogEnd;
  /** The log ends inside a transaction that nobody will finish. */
  readonly unfinished: boolean;
  /** Relation versions the last segment describes. */
  readonly described: ReadonlySet<number>;
}

/**
 * Finds out what the log in `dir` holds. Only the end of the last segment can have been in the making when a process died: it is cut
 * at its last whole block and made durable. Damage anywhere else throws E_LOG_CORRUPT.
 */
export async function recover(options: RecoveryOptions): Promise<RecoveredLog> {
  const { fileSystem, dir, notedEnd } = options;
  const index = new SegmentIndex(await findSegments(options));
  const { last } = index;
  if (last === undefined) {
    if (notedEnd > 0) throw missingEnd(dir, notedEnd);
    return {
      index,
      registry: new RelationRegistry(1),
      end: { offset: 0, visible: 0, endLsn: 0n, eventEndLsn: 0n, last: BEFORE_ALL },
      unfinished: false,
      described: new Set(),
    };
  }
  const scan = new EndScan(last);
  const file = await fileSystem.open(last.path, 'write').catch((error: unknown) => {
    throw ioError('open', last.path, error);
  });
  try {
    const size = (await fileSystem.stat(last.path))?.size ?? 0;
    const end = await scanBlocks({ ...options, file, last, size, scan });
    await settle({ file, last, from: Math.max(scan.knownSynced, notedEnd), end, size });
    await fileSystem.fsyncDir(dir);
    if (end < last.base + size) {
      options.logger.warn(
        { file: last.path, cutBytes: last.base + size - end, end: formatLsn(scan.end.endLsn) },
        'the end of the event log was torn by a crash and has been cut; the server sends it again',
      );
    }
    return {
      index,
      registry: scan.registry,
      end: { ...scan.end, offset: end, visible: scan.visible },
      unfinished: scan.unfinished,
      described: scan.described,
    };
  } catch (error) {
    throw error instanceof TailraceError ? error : ioError('recover', last.path, error);
  } finally {
    await file.close();
  }
}

/** The headers of all segments, in order and without a gap between them. */
async function findSegments(options: RecoveryOptions): Promise<readonly Segment[]> {
  const { fileSystem, dir } = options;
  const names = [...(await fileSystem.readdir(dir))].sort();
  const found: { readonly segment: Segment; readonly size: number }[] = [];
  for (const name of names) {
    const base = segmentBaseOf(name);
    if (base === undefined) {
      if (name.endsWith(NEW_SUFFIX)) await fileSystem.unlink(join(dir, name));
      continue;
    }
    const { segment, size } = await readHeader(fileSystem, dir, base);
    const before = found.at(-1);
    if (segment.startsLog) {
      // A log that was begun anew; the process died before it had removed the old one.
      for (const { segment: old } of found) await fileSystem.unlink(old.path);
      found.length = 0;
    } else if (before !== undefined && before.segment.base + before.size !== base) {
      throw corrupt(
        before.segment.path,
        before.size,
        `the segment ends at log offset ${before.segment.base + before.size}, the next one begins at ${base}`,
      );
    }
    found.push({ segment, size });
  }
  return found.map(({ segment }) => segment);
}

async function readHeader(
  fileSystem: FileSystem,
  dir: string,
  base: number,
): Promise<{ readonly segment: Segment; readonly size: number }> {
  const { path } = segmentAt(dir, { base } as Segment);
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  try {
    const file = await fileSystem.open(path, 'read');
    try {
      const read = await readFully(file, bytes, bytes.length, 0);
      const header = decodeSegmentHeader(bytes.subarray(0, read));
      // Segments get their name when their header is on disk: a crash leaves none with half a header.
      if (typeof header === 'string') throw corrupt(path, 0, header);
      if (header.base !== base)
        throw corrupt(path, 0, `the segment's header names log offset ${header.base}`);
      return { segment: { ...header, path }, size: (await fileSystem.stat(path))?.size ?? 0 };
    } finally {
      await file.close();
    }
  } catch (error) {
    throw error instanceof TailraceError ? error : ioError('read', path, error);
  }
}

interface ScanOptions extends RecoveryOptions {
  readonly file: LogFile;
  readonly last: Segment;
  readonly size: number;
  readonly scan: EndScan;
}

/** Goes through the whole blocks of the last segment; returns the log offset where they end. */
async function scanBlocks(options: ScanOptions): Promise<number> {
  const { file, last, size, scan } = options;
  const pool = new SlabPool(Math.min(READ_BYTES, size), 1);
  const to = last.base + size;
  let at = firstFrameOf(last);
  while (at < to) {
    const read = await readBlocks({
      file,
      base: last.base,
      from: at,
      to,
      readBytes: READ_BYTES,
      take: (base, minBytes) => pool.take(base, minBytes),
    });
    if (read.state !== 'whole') {
      if (at < options.notedEnd) throw corrupt(last.path, at - last.base, LOST_BLOCK);
      await assertTorn(options, at);
      break;
    }
    scan.blocks(read.slab);
    at = read.slab.end;
    read.slab.retire();
  }
  if (at < options.notedEnd) throw missingEnd(last.path, options.notedEnd);
  return at;
}

/**
 * A block that is not whole is the torn end of a write, unless a later one knows that it was on disk before. The blocks of one group may
 * reach the disk in any order, so whole ones behind it prove nothing by themselves.
 */
async function assertTorn({ file, last, size }: ScanOptions, at: number): Promise<void> {
  const windowBytes = Math.min(READ_BYTES, size);
  const pool = new SlabPool(windowBytes, 1);
  const window = Buffer.alloc(windowBytes);
  let from = at + 1 - last.base;
  while (from + BLOCK_HEADER_BYTES <= size) {
    const got = await readFully(file, window, Math.min(window.length, size - from), from);
    const found = findBlock(window, 0, got);
    if (found < 0) {
      from += Math.max(got - BLOCK_HEADER_BYTES, 1);
      continue;
    }
    const read = await readBlocks({
      file,
      base: last.base,
      from: last.base + from + found,
      to: last.base + size,
      readBytes: READ_BYTES,
      take: (base, minBytes) => pool.take(base, minBytes),
    });
    if (read.state === 'whole') {
      const synced = blockSyncedOffset(read.slab.view, 0);
      read.slab.retire();
      if (synced > at) throw corrupt(last.path, at - last.base, LOST_BLOCK);
    }
    from += found + 1;
  }
}

/**
 * Makes what was found durable. After a failed sync the kernel may hold pages as clean that never reached the disk
 * (https://www.postgresql.org/docs/current/wal-reliability.html); writing them again is the only way to be sure of what nobody knew to be synced.
 */
async function settle(options: {
  readonly file: LogFile;
  readonly last: Segment;
  readonly from: number;
  readonly end: number;
  readonly size: number;
}): Promise<void> {
  const { file, last, end, size } = options;
  if (end < last.base + size) await file.truncate(end - last.base);
  const window = Buffer.alloc(Math.min(READ_BYTES, Math.max(end - options.from, 0)));
  for (let at = Math.max(options.from, last.base); at < end; at += window.length) {
    const length = await readFully(file, window, Math.min(window.length, end - at), at - last.base);
    await writeFully(file, [window.subarray(0, length)], at - last.base);
  }
  await file.datasync();
}

/** What the frames of the last segment say about where the log stands. */
class EndScan {
  readonly registry: RelationRegistry;
  readonly described = new Set<number>();
  end: CommittedEnd;
  /** Log offset behind the last frame outside a transaction; where the segment begins when it has none. */
  visible: number;
  unfinished: boolean;
  /** The highest offset that a block knew to be on disk. */
  knownSynced = 0;
  readonly #segment: Segment;
  #commitLsn: Lsn = 0n;
  #seq = 0;

  constructor(segment: Segment) {
    this.#segment = segment;
    this.registry = new RelationRegistry(segment.nextRelation);
    this.end = { endLsn: segment.endLsn, eventEndLsn: segment.startLsn, last: segment.last };
    this.visible = segment.base;
    this.unfinished = segment.continues;
  }

  blocks(slab: Slab): void {
    let at = 0;
    while (at < slab.length) {
      const size = slab.view.getUint32(at, true);
      this.#frame(slab, at, slab.view.getUint8(at + 4), size);
      at += size;
      if (!this.unfinished) this.visible = slab.base + at;
    }
  }

  #frame({ view, buffer, base }: Slab, at: number, kind: number, size: number): void {
    switch (kind) {
      case FRAME.block:
        this.knownSynced = Math.max(this.knownSynced, blockSyncedOffset(view, at));
        return;
      case FRAME.relation: {
        const version = view.getUint32(at + 5, true);
        this.registry.learn(version, () => buffer.utf8Slice(at + RELATION_HEADER_BYTES, at + size));
        this.described.add(version);
        return;
      }
      case FRAME.begin:
        this.unfinished = true;
        this.#commitLsn = beginCommitLsn(view, at);
        this.#seq = beginSeqBefore(view, at);
        return;
      case FRAME.commit:
        this.#finish(frameEndLsn(view, at));
        return;
      case FRAME.rollback:
        this.unfinished = false;
        return;
      case FRAME.progress:
        this.end = { ...this.end, endLsn: frameEndLsn(view, at) };
        return;
      case FRAME.looseMessage:
        this.end = { ...this.end, last: { commitLsn: eventWalLsn(view, at), seq: 0 } };
        return;
      default:
        if (kind < FIRST_EVENT_KIND || kind > LAST_KIND) {
          throw corrupt(
            this.#segment.path,
            base + at - this.#segment.base,
            `a frame has unknown kind ${kind}`,
          );
        }
        this.#seq += 1;
    }
  }

  #finish(endLsn: Lsn): void {
    this.unfinished = false;
    const last: Position = { commitLsn: this.#commitLsn, seq: this.#seq };
    this.end = this.#seq === 0 ? { ...this.end, endLsn } : { endLsn, eventEndLsn: endLsn, last };
  }
}

function missingEnd(path: string, notedEnd: number): TailraceError {
  return new TailraceError({
    code: 'E_LOG_CORRUPT',
    message: `The event log ends before log offset ${notedEnd}, where it ended when it was last closed: ${path} is cut or files are missing.`,
    fix:
      'Restore the missing files if there is a copy. Otherwise move the whole log directory away and start again: ' +
      'delivery goes on by itself when every sink is at or past the replication slot, and names the sinks that are not.',
  });
}
