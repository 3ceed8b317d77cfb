import { ByteWriter } from '../../src/events/byte-writer.ts';
import type { Op, TransactionInfo } from '../../src/events/change-event.ts';
import type { ColumnType, Relation, RelationColumn, ReplicaIdentity } from '../../src/events/relation.ts';
import { type FrameEvent, FrameEventView } from '../../src/events/tuple/frame-event-view.ts';
import { TupleWriter } from './tuple-writer.ts';

export const UNCHANGED = Symbol('unchanged TOAST value');
export const NOT_CAPTURED = Symbol('not captured');

/** A column as it stands in a tuple: its text, raw bytes, or why it has none. */
export type TupleValue = string | Buffer | null | typeof UNCHANGED | typeof NOT_CAPTURED;

export type OldTuple = { readonly tag: 'K' | 'O'; readonly values: readonly TupleValue[] };

/** Builds event bodies: what follows the relation id in pgoutput's messages. */
export class TupleBuilder {
  readonly #out = new ByteWriter(256);

  insert(values: readonly TupleValue[]): Buffer {
    return this.#finish(() => this.#tuple('N', values));
  }

  update(old: OldTuple | undefined, values: readonly TupleValue[]): Buffer {
    return this.#finish(() => {
      if (old !== undefined) this.#tuple(old.tag, old.values);
      this.#tuple('N', values);
    });
  }

  delete(old: OldTuple): Buffer {
    return this.#finish(() => this.#tuple(old.tag, old.values));
  }

  truncate(options: { cascade?: boolean; restartIdentity?: boolean } = {}): Buffer {
    return Buffer.from([(options.cascade === true ? 1 : 0) | (options.restartIdentity === true ? 2 : 0)]);
  }

  message(message: { prefix: string; content: Buffer; transactional: boolean; lsn?: bigint }): Buffer {
    const head = Buffer.alloc(9);
    head[0] = message.transactional ? 1 : 0;
    head.writeBigUInt64BE(message.lsn ?? 0n, 1);
    const length = Buffer.alloc(4);
    length.writeInt32BE(message.content.length);
    return Buffer.concat([head, Buffer.from(`${message.prefix}\0`), length, message.content]);
  }

  #tuple(tag: string, values: readonly TupleValue[]): void {
    const writer = new TupleWriter(this.#out);
    this.#out.ascii(tag);
    writer.begin(values.length);
    for (const value of values) {
      if (value === null) writer.null();
      else if (value === UNCHANGED) writer.unchanged();
      else if (value === NOT_CAPTURED) writer.notCaptured();
      else if (typeof value === 'string') writer.text(value);
      else writer.bytes(value);
    }
  }

  #finish(write: () => void): Buffer {
    this.#out.reset();
    write();
    return this.#out.copy();
  }
}

export function baseType(name: string, options: Partial<ColumnType> = {}): ColumnType {
  return { oid: 0, name, schema: 'pg_catalog', kind: 'base', typmod: -1, ...options };
}

export function arrayOf(element: ColumnType, delimiter = ','): ColumnType {
  return { ...baseType(`_${element.name}`), kind: 'array', typmod: element.typmod, element, delimiter };
}

export type ColumnSpec = {
  readonly type?: string | ColumnType;
  readonly key?: boolean;
  readonly nullable?: boolean;
  readonly captured?: boolean;
  readonly inIdentity?: boolean;
};

/** A relation from `{ id: { type: 'int4', key: true }, name: { type: 'text' } }`. */
export function relationOf(
  columns: Readonly<Record<string, ColumnSpec>>,
  options: { schema?: string; table?: string; version?: number; replicaIdentity?: ReplicaIdentity } = {},
): Relation {
  const replicaIdentity = options.replicaIdentity ?? 'default';
  const entries = Object.entries(columns);
  return {
    version: options.version ?? 1,
    oid: 16384,
    schema: options.schema ?? 'public',
    table: options.table ?? 'orders',
    replicaIdentity,
    columns: entries.map(([name, spec], i): RelationColumn => {
      const type = spec.type ?? 'text';
      return {
        name,
        attnum: i + 1,
        type: typeof type === 'string' ? baseType(type) : type,
        inIdentity: spec.inIdentity ?? (replicaIdentity === 'full' || spec.key === true),
        nullable: spec.nullable ?? spec.key !== true,
        captured: spec.captured ?? true,
      };
    }),
    key: entries.flatMap(([, spec], i) => (spec.key === true ? [i] : [])),
  };
}

export const TRANSACTION: TransactionInfo = {
  xid: 565,
  commitTimeUs: 1_478_267_490_123_456n,
  commitLsn: 0x1_0000_0028n,
  endLsn: 0x1_0000_0058n,
  eventCount: 3,
};

/** A cursor standing on one event. */
export function eventOf(
  event: { op: Op; relation: Relation; body: Buffer } & Partial<
    Pick<FrameEvent, 'seq' | 'transaction' | 'walLsnHigh' | 'walLsnLow'>
  >,
  into: FrameEventView = new FrameEventView(),
): FrameEventView {
  // Off the buffer's start, so that no code can get away with absolute offsets.
  const buffer = Buffer.concat([Buffer.from('head'), event.body, Buffer.from('tail')]);
  into.point({
    op: event.op,
    relation: event.relation,
    transaction: event.transaction ?? TRANSACTION,
    seq: event.seq ?? 1,
    walLsnHigh: event.walLsnHigh ?? 1,
    walLsnLow: event.walLsnLow ?? 0,
    buffer,
    start: 4,
    end: 4 + event.body.length,
  });
  return into;
}
