import type { PgoutputMessage, RelationMessage } from '../../../../connectors/postgres/pgoutput/messages.ts';

const POSTGRES_EPOCH_US = 946_684_800_000_000n;

/** One column of a tuple: text, null, or `unchanged`. */
export type Column = string | null | { readonly unchanged: true };

export const UNCHANGED: Column = { unchanged: true };

/** Writes messages as the manual describes them, so that a decoder can be asked to read them back. */
export class MessageWriter {
  #bytes: Buffer[] = [];

  tag(letter: string): this {
    return this.#push(Buffer.from(letter, 'latin1'));
  }

  uint8(value: number): this {
    return this.#push(Buffer.from([value]));
  }

  uint16(value: number): this {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16BE(value);
    return this.#push(bytes);
  }

  int32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value | 0);
    return this.#push(bytes);
  }

  lsn(value: bigint): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(value);
    return this.#push(bytes);
  }

  timeUs(value: bigint): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(value - POSTGRES_EPOCH_US);
    return this.#push(bytes);
  }

  text(value: string): this {
    return this.#push(Buffer.from(`${value}\0`));
  }

  tuple(columns: readonly Column[]): this {
    this.uint16(columns.length);
    for (const column of columns) {
      if (column === null) this.tag('n');
      else if (typeof column !== 'string') this.tag('u');
      else this.tag('t').int32(Buffer.byteLength(column)).bytes(Buffer.from(column));
    }
    return this;
  }

  bytes(value: Uint8Array): this {
    return this.#push(Buffer.from(value));
  }

  get buffer(): Buffer {
    return Buffer.concat(this.#bytes);
  }

  #push(bytes: Buffer): this {
    this.#bytes.push(bytes);
    return this;
  }
}

export interface RowBody {
  readonly key?: readonly Column[] | undefined;
  readonly old?: readonly Column[] | undefined;
  readonly new?: readonly Column[] | undefined;
}

/** Insert, update or delete. */
export function encodeRow(tag: 'I' | 'U' | 'D', relationOid: number, body: RowBody): Buffer {
  return new MessageWriter().tag(tag).int32(relationOid).bytes(encodeBody(body)).buffer;
}

export function encodeBody({ key, old, new: after }: RowBody): Buffer {
  const writer = new MessageWriter();
  if (key !== undefined) writer.tag('K').tuple(key);
  if (old !== undefined) writer.tag('O').tuple(old);
  if (after !== undefined) writer.tag('N').tuple(after);
  return writer.buffer;
}

export function encodeLogicalMessage(
  lsn: bigint,
  prefix: string,
  content: string,
  transactional: boolean,
): Buffer {
  return new MessageWriter()
    .tag('M')
    .uint8(transactional ? 1 : 0)
    .lsn(lsn)
    .text(prefix)
    .int32(Buffer.byteLength(content))
    .bytes(Buffer.from(content)).buffer;
}

/** Everything but rows and logical messages, which have a body. */
export type EncodableMessage = Exclude<PgoutputMessage, { readonly bodyStart: number }>;

export function encodeMessage(message: EncodableMessage): Buffer {
  const w = new MessageWriter();
  const xid = (): void => {
    if ('streamedXid' in message && message.streamedXid !== undefined) w.int32(message.streamedXid);
  };
  switch (message.kind) {
    case 'begin':
      w.tag('B').lsn(message.commitLsn).timeUs(message.commitTimeUs).int32(message.xid);
      break;
    case 'commit':
      w.tag('C').uint8(0).lsn(message.commitLsn).lsn(message.endLsn).timeUs(message.commitTimeUs);
      break;
    case 'origin':
      w.tag('O').lsn(message.commitLsn).text(message.name);
      break;
    case 'relation':
      w.tag('R');
      xid();
      relation(w, message);
      break;
    case 'type':
      w.tag('Y');
      xid();
      w.int32(message.oid)
        .text(message.schema === 'pg_catalog' ? '' : message.schema)
        .text(message.name);
      break;
    case 'truncate':
      w.tag('T');
      xid();
      w.int32(message.relationOids.length).uint8(
        (message.cascade ? 1 : 0) | (message.restartIdentity ? 2 : 0),
      );
      for (const oid of message.relationOids) w.int32(oid);
      break;
    case 'stream-start':
      w.tag('S')
        .int32(message.xid)
        .uint8(message.firstSegment ? 1 : 0);
      break;
    case 'stream-stop':
      w.tag('E');
      break;
    case 'stream-commit':
      w.tag('c').int32(message.xid).uint8(0);
      w.lsn(message.commitLsn).lsn(message.endLsn).timeUs(message.commitTimeUs);
      break;
    case 'stream-abort':
      w.tag('A').int32(message.xid).int32(message.subXid);
      if (message.abort !== undefined) w.lsn(message.abort.lsn).timeUs(message.abort.timeUs);
      break;
    case 'begin-prepare':
      w.tag('b').lsn(message.prepareLsn).lsn(message.endLsn).timeUs(message.prepareTimeUs);
      w.int32(message.xid).text(message.gid);
      break;
    case 'prepare':
    case 'stream-prepare':
      w.tag(message.kind === 'prepare' ? 'P' : 'p').uint8(0);
      w.lsn(message.prepareLsn).lsn(message.endLsn).timeUs(message.prepareTimeUs);
      w.int32(message.xid).text(message.gid);
      break;
    case 'commit-prepared':
      w.tag('K').uint8(0).lsn(message.commitLsn).lsn(message.endLsn).timeUs(message.commitTimeUs);
      w.int32(message.xid).text(message.gid);
      break;
    case 'rollback-prepared':
      w.tag('r').uint8(0).lsn(message.prepareEndLsn).lsn(message.rollbackEndLsn);
      w.timeUs(message.prepareTimeUs).timeUs(message.rollbackTimeUs).int32(message.xid).text(message.gid);
      break;
  }
  return w.buffer;
}

const IDENTITIES = { default: 'd', nothing: 'n', full: 'f', index: 'i' } as const;

function relation(w: MessageWriter, message: RelationMessage): void {
  w.int32(message.oid)
    .text(message.schema === 'pg_catalog' ? '' : message.schema)
    .text(message.table);
  w.tag(IDENTITIES[message.replicaIdentity]).uint16(message.columns.length);
  for (const { name, typeOid, typmod, inIdentity } of message.columns) {
    w.uint8(inIdentity ? 1 : 0)
      .text(name)
      .int32(typeOid)
      .int32(typmod);
  }
}
