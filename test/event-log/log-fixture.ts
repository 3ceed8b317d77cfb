import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EventKind, EventLog, LogIdentity, ReadLimit } from '../../src/event-log/contract.ts';
import { type OpenEventLogOptions, openEventLog } from '../../src/event-log/open-event-log.ts';
import { NO_TABLE } from '../../src/event-log/relation-registry.ts';
import type { EventView } from '../../src/events/change-event.ts';
import type { Lsn } from '../../src/events/lsn.ts';
import { type Checkpoint, formatPosition, type Position } from '../../src/events/position.ts';
import type { RelationDefinition } from '../../src/events/relation.ts';

export const KiB = 1024;
export const MiB = 1024 * KiB;

export const IDENTITY: LogIdentity = {
  pipeline: 'shop',
  database: '7000000000000000001/5',
  slot: 'shop',
  generation: 1,
  timeline: 1,
  slotCreated: true,
};

/** Takes all there is, and never cuts a transaction. */
export const EVERYTHING: ReadLimit = {
  maxEvents: 1_000_000,
  maxBytes: 1024 * MiB,
  maxTransactionBytes: 1024 * MiB,
  lingerMs: 0,
};

const ROOMY = {
  limitBytes: 1024 * MiB,
  segmentBytes: 16 * MiB,
  retainAgeMs: Number.POSITIVE_INFINITY,
  retainBytes: Number.POSITIVE_INFINITY,
  maxUnsyncedBytes: 8 * MiB,
  syncIntervalMs: 0,
  tailBytes: 8 * MiB,
};

/** A directory of its own that is removed at the end of the test. */
export class TestDirectory implements AsyncDisposable {
  readonly path: string;
  readonly #open = new Set<EventLog>();

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<TestDirectory> {
    return new TestDirectory(await mkdtemp(join(tmpdir(), 'tailrace-log-')));
  }

  /** Opened logs are closed at the end of the test. */
  async open(options: Partial<OpenEventLogOptions> = {}): Promise<EventLog> {
    const log = await openEventLog({ ...ROOMY, ...options, dir: this.path });
    this.#open.add(log);
    if (log.facts.identity === undefined) await log.setIdentity(IDENTITY);
    return log;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const log of this.#open) await log.close();
    await rm(this.path, { recursive: true, force: true });
  }
}

export function table(name: string): RelationDefinition {
  return {
    oid: 16_384 + name.length,
    schema: 'public',
    table: name,
    replicaIdentity: 'full',
    columns: [
      {
        name: 'payload',
        attnum: 1,
        type: { oid: 25, name: 'text', schema: 'pg_catalog', kind: 'base', typmod: -1 },
        inIdentity: true,
        nullable: true,
        captured: true,
      },
    ],
    key: [],
  };
}

/** One event as the server would send it, and as a reader should see it. */
export interface SentEvent {
  readonly table: string;
  readonly kind: EventKind;
  readonly payload: string;
  readonly walLsn: Lsn;
}

export interface SentTransaction {
  readonly commitLsn: Lsn;
  readonly endLsn: Lsn;
  readonly xid: number;
  readonly commitTimeUs: bigint;
  readonly origin?: { readonly name: string; readonly commitLsn: Lsn } | undefined;
  readonly events: readonly SentEvent[];
}

export function bodyOf(kind: EventKind, payload: string): Buffer {
  const text = Buffer.from(payload);
  const tuple = Buffer.alloc(7 + text.length);
  tuple.writeUInt16BE(1, 0);
  tuple.write('t', 2);
  tuple.writeInt32BE(text.length, 3);
  text.copy(tuple, 7);
  switch (kind) {
    case 'insert':
      return Buffer.concat([Buffer.from('N'), tuple]);
    case 'update':
      return Buffer.concat([Buffer.from('O'), tuple, Buffer.from('N'), tuple]);
    case 'delete':
      return Buffer.concat([Buffer.from('O'), tuple]);
    case 'truncate':
      return Buffer.from([payload.length % 4]);
    case 'message':
      return messageBody(payload);
  }
}

/** Flags, LSN, prefix, content: what follows the tag of pgoutput's Message. */
export function messageBody(content: string): Buffer {
  const text = Buffer.from(content);
  const head = Buffer.alloc(9);
  const length = Buffer.alloc(4);
  length.writeInt32BE(text.length);
  return Buffer.concat([head, Buffer.from('test\0'), length, text]);
}

/** A transaction of one event: most tests need no more. */
export function transaction(
  commitLsn: Lsn,
  payloads: readonly string[] = [`row at ${commitLsn}`],
): SentTransaction {
  return {
    commitLsn,
    endLsn: commitLsn + 40n,
    xid: Number(commitLsn % 100_000n),
    commitTimeUs: 1_700_000_000_000_000n + commitLsn,
    events: payloads.map((payload, i) => ({
      table: 'orders',
      kind: 'insert',
      payload,
      walLsn: commitLsn - BigInt(payloads.length - i),
    })),
  };
}

/** Transaction `n` of a writer without an end: what it holds follows from its number. */
export function numbered(n: bigint): SentTransaction {
  const payloads = Array.from(
    { length: Number(n % 5n) + 1 },
    (_, i) => `${n}/${i} ${'.'.repeat(Number(n % 97n))}`,
  );
  return transaction(n * 1000n, payloads);
}

export function begin(log: EventLog, { commitLsn, xid, commitTimeUs, origin }: SentTransaction): void {
  log.begin({ commitLsn, xid, commitTimeUs, origin });
}

export function append(log: EventLog, { table: name, kind, payload, walLsn }: SentEvent): void {
  const body = bodyOf(kind, payload);
  const relation = log.relation(kind === 'message' ? NO_TABLE : table(name));
  log.append({ relation, kind, walLsn, body, start: 0, end: body.length });
}

export function send(log: EventLog, sent: SentTransaction): void {
  begin(log, sent);
  for (const event of sent.events) append(log, event);
  log.commit(sent.endLsn);
}

/** What a reader has to see of a transaction's events, one line each. */
export function linesOf(sent: SentTransaction): string[] {
  return sent.events.map((event, i) =>
    line({
      position: { commitLsn: sent.commitLsn, seq: i + 1 },
      op: event.kind,
      table: event.kind === 'message' ? '' : event.table,
      payload: event.kind === 'truncate' ? String(event.payload.length % 4) : event.payload,
      walLsn: event.walLsn,
      xid: sent.xid,
      commitTimeUs: sent.commitTimeUs,
      endLsn: sent.endLsn,
      eventCount: sent.events.length,
      origin: sent.origin,
    }),
  );
}

export function messageLine(lsn: Lsn, content: string): string {
  return line({
    position: { commitLsn: lsn, seq: 0 },
    op: 'message',
    table: '',
    payload: content,
    walLsn: lsn,
    xid: 0,
    commitTimeUs: 0n,
    endLsn: lsn,
    eventCount: 0,
    origin: undefined,
  });
}

export function lineOf(event: EventView): string {
  const { transaction: info } = event;
  return line({
    position: event.position,
    op: event.op,
    table: event.relation.table,
    payload: payloadOf(event),
    walLsn: event.walLsn,
    xid: info.xid,
    commitTimeUs: info.commitTimeUs,
    endLsn: info.endLsn,
    eventCount: info.eventCount,
    origin: info.origin,
  });
}

export function payloadOf(event: EventView): string {
  switch (event.op) {
    case 'truncate':
      return String(
        Number(event.truncateOptions.cascade) + 2 * Number(event.truncateOptions.restartIdentity),
      );
    case 'message':
      return event.message.content.toString();
    case 'update': {
      if (event.column('before', 0) !== 'value') return 'no old value';
      const before = event.text();
      event.column('after', 0);
      return before === event.text() ? before : `${before} is not ${event.text()}`;
    }
    case 'delete':
      event.column('before', 0);
      return event.text();
    default:
      event.column('after', 0);
      return event.text();
  }
}

interface Line {
  readonly position: Position;
  readonly op: string;
  readonly table: string;
  readonly payload: string;
  readonly walLsn: Lsn;
  readonly xid: number;
  readonly commitTimeUs: bigint;
  readonly endLsn: Lsn;
  readonly eventCount: number;
  readonly origin: { readonly name: string; readonly commitLsn: Lsn } | undefined;
}

function line(l: Line): string {
  const payload =
    l.payload.length > 60
      ? `${l.payload.slice(0, 20)}...(${l.payload.length}, ${hash(l.payload)})`
      : l.payload;
  const origin = l.origin === undefined ? '' : ` from ${l.origin.name}@${l.origin.commitLsn}`;
  return `${formatPosition(l.position)} ${l.op} ${l.table} "${payload}" wal ${l.walLsn} xid ${l.xid} at ${l.commitTimeUs} end ${l.endLsn} of ${l.eventCount}${origin}`;
}

function hash(text: string): number {
  let h = 0;
  for (let i = 0; i < text.length; i++) h = (h * 31 + text.charCodeAt(i)) | 0;
  return h;
}

export interface Seen {
  readonly lines: string[];
  readonly to: Checkpoint | undefined;
}

/** Reads until the checkpoint covers `endLsn`. */
export async function readUntil(
  log: EventLog,
  endLsn: Lsn,
  after?: Position,
  limit: ReadLimit = EVERYTHING,
): Promise<Seen> {
  const lines: string[] = [];
  let to: Checkpoint | undefined;
  if (endLsn === 0n) return { lines, to };
  const reader = log.read(after, 'test');
  try {
    while (to === undefined || to.endLsn < endLsn) {
      const batch = await reader.next(limit, AbortSignal.timeout(10_000));
      for (let i = 0; i < batch.count; i++) lines.push(lineOf(batch.event(i)));
      to = batch.to;
      batch.release();
    }
    return { lines, to };
  } finally {
    await reader.close();
  }
}
