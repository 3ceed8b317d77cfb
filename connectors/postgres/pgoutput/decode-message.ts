import type { ReplicaIdentity } from '../../../src/events/relation.ts';
import { ByteReader } from './byte-reader.ts';
import type {
  CommitMessage,
  LogicalMessage,
  PgoutputMessage,
  PrepareMessage,
  RelationMessage,
  RelationMessageColumn,
  RowMessage,
  StreamAbortMessage,
  TruncateMessage,
  TypeMessage,
} from './messages.ts';
import { ProtocolViolation } from './protocol-violation.ts';
import { describeByte } from './row-structure.ts';

export interface DecodeContext {
  /** Between Stream Start and Stream Stop: the messages of protocol 1 then begin with an xid. */
  readonly streamed: boolean;
}

const NOT_STREAMED: DecodeContext = { streamed: false };

/**
 * Decodes one message of protocol 1 to 4: `bytes[start, end)`. Rows and logical messages keep their body where it is. Throws ProtocolViolation
 * for anything unknown, truncated or too long; the tuples of a row are the business of `checkRow`, which knows the relation.
 */
export function decodeMessage(
  bytes: Buffer,
  start: number,
  end: number,
  context: DecodeContext = NOT_STREAMED,
): PgoutputMessage {
  const reader = new ByteReader(bytes, start, end);
  const tag = reader.uint8('The message type');
  const message = decodeTagged(String.fromCharCode(tag), reader, context.streamed);
  if (message === undefined) {
    throw new ProtocolViolation(`Unknown pgoutput message ${describeByte(tag)}`, start);
  }
  return message;
}

function decodeTagged(tag: string, reader: ByteReader, streamed: boolean): PgoutputMessage | undefined {
  switch (tag) {
    case 'B':
      return ended(reader, {
        kind: 'begin',
        commitLsn: reader.lsn('The commit LSN'),
        commitTimeUs: reader.timeUs('The commit time'),
        xid: reader.uint32('The xid'),
      });
    case 'C':
      return ended(reader, { kind: 'commit', ...commitFields(reader) });
    case 'O':
      return ended(reader, {
        kind: 'origin',
        commitLsn: reader.lsn('The commit LSN at the origin'),
        name: reader.cstring('The name of the origin'),
      });
    case 'R':
      return ended(reader, relation(reader, streamed));
    case 'Y':
      return ended(reader, type(reader, streamed));
    case 'I':
      return row('insert', reader, streamed);
    case 'U':
      return row('update', reader, streamed);
    case 'D':
      return row('delete', reader, streamed);
    case 'T':
      return ended(reader, truncate(reader, streamed));
    case 'M':
      return ended(reader, logicalMessage(reader, streamed));
    case 'S':
      return ended(reader, {
        kind: 'stream-start',
        xid: reader.uint32('The xid'),
        firstSegment: reader.uint8('The segment flag') === 1,
      });
    case 'E':
      return ended(reader, { kind: 'stream-stop' });
    case 'c': {
      const xid = reader.uint32('The xid');
      return ended(reader, { kind: 'stream-commit', xid, ...commitFields(reader) });
    }
    case 'A':
      return ended(reader, streamAbort(reader));
    case 'b':
      return ended(reader, {
        kind: 'begin-prepare',
        prepareLsn: reader.lsn('The prepare LSN'),
        endLsn: reader.lsn('The end LSN'),
        prepareTimeUs: reader.timeUs('The prepare time'),
        xid: reader.uint32('The xid'),
        gid: reader.cstring('The gid'),
      });
    case 'P':
      return ended(reader, prepare('prepare', reader));
    case 'p':
      return ended(reader, prepare('stream-prepare', reader));
    case 'K':
      return ended(reader, {
        kind: 'commit-prepared',
        ...commitFields(reader),
        xid: reader.uint32('The xid'),
        gid: reader.cstring('The gid'),
      });
    case 'r':
      unusedFlags(reader);
      return ended(reader, {
        kind: 'rollback-prepared',
        prepareEndLsn: reader.lsn('The end LSN of the prepare'),
        rollbackEndLsn: reader.lsn('The end LSN of the rollback'),
        prepareTimeUs: reader.timeUs('The prepare time'),
        rollbackTimeUs: reader.timeUs('The rollback time'),
        xid: reader.uint32('The xid'),
        gid: reader.cstring('The gid'),
      });
    default:
      return undefined;
  }
}

function ended<M extends PgoutputMessage>(reader: ByteReader, message: M): M {
  reader.expectEnd();
  return message;
}

/** "Currently unused": a server that uses them means something we would miss. */
function unusedFlags(reader: ByteReader): void {
  const at = reader.at;
  const flags = reader.uint8('The flags');
  if (flags !== 0) throw new ProtocolViolation(`Unknown flags ${describeByte(flags)}`, at);
}

function commitFields(reader: ByteReader): Pick<CommitMessage, 'commitLsn' | 'endLsn' | 'commitTimeUs'> {
  unusedFlags(reader);
  return {
    commitLsn: reader.lsn('The commit LSN'),
    endLsn: reader.lsn('The end LSN'),
    commitTimeUs: reader.timeUs('The commit time'),
  };
}

/** Spread into a message: present only when it was streamed. */
function streamedXid(reader: ByteReader, streamed: boolean): { readonly streamedXid?: number } {
  return streamed ? { streamedXid: reader.uint32('The xid') } : {};
}

function relation(reader: ByteReader, streamed: boolean): RelationMessage {
  const xid = streamedXid(reader, streamed);
  const oid = reader.uint32('The relation id');
  const schema = reader.cstring('The schema') || 'pg_catalog';
  const table = reader.cstring('The table');
  const replicaIdentity = identity(reader);
  const count = reader.uint16('The number of columns');
  const columns: RelationMessageColumn[] = [];
  for (let i = 0; i < count; i++) {
    const flags = reader.uint8('The flags of a column');
    columns.push({
      name: reader.cstring('The name of a column'),
      typeOid: reader.uint32('The type of a column'),
      typmod: reader.int32('The type modifier of a column'),
      inIdentity: (flags & 1) === 1,
    });
  }
  return { kind: 'relation', ...xid, oid, schema, table, replicaIdentity, columns };
}

function identity(reader: ByteReader): ReplicaIdentity {
  const at = reader.at;
  const code = reader.uint8('The replica identity');
  switch (String.fromCharCode(code)) {
    case 'd':
      return 'default';
    case 'n':
      return 'nothing';
    case 'f':
      return 'full';
    case 'i':
      return 'index';
    default:
      throw new ProtocolViolation(`Unknown replica identity ${describeByte(code)}`, at);
  }
}

function type(reader: ByteReader, streamed: boolean): TypeMessage {
  return {
    kind: 'type',
    ...streamedXid(reader, streamed),
    oid: reader.uint32('The type'),
    schema: reader.cstring('The schema') || 'pg_catalog',
    name: reader.cstring('The name of the type'),
  };
}

function row(kind: RowMessage['kind'], reader: ByteReader, streamed: boolean): RowMessage {
  const xid = streamedXid(reader, streamed);
  const relationOid = reader.uint32('The relation id');
  return { kind, ...xid, relationOid, bodyStart: reader.at };
}

function truncate(reader: ByteReader, streamed: boolean): TruncateMessage {
  const xid = streamedXid(reader, streamed);
  const countAt = reader.at;
  const count = reader.uint32('The number of relations');
  const options = reader.uint8('The options');
  if (options > 3) throw new ProtocolViolation(`Unknown options ${describeByte(options)}`, reader.at - 1);
  if (count * 4 !== reader.left) {
    throw new ProtocolViolation(`${count} relations in ${reader.left} bytes`, countAt);
  }
  const relationOids: number[] = [];
  for (let i = 0; i < count; i++) relationOids.push(reader.uint32('A relation id'));
  return {
    kind: 'truncate',
    ...xid,
    cascade: (options & 1) !== 0,
    restartIdentity: (options & 2) !== 0,
    relationOids,
  };
}

function logicalMessage(reader: ByteReader, streamed: boolean): LogicalMessage {
  const xid = streamedXid(reader, streamed);
  const bodyStart = reader.at;
  const flags = reader.uint8('The flags');
  if (flags > 1) throw new ProtocolViolation(`Unknown flags ${describeByte(flags)}`, bodyStart);
  const lsn = reader.lsn('The LSN');
  const prefix = reader.cstring('The prefix');
  reader.skip(reader.uint32('The length of the content'), 'The content');
  return { kind: 'message', ...xid, transactional: flags === 1, lsn, prefix, bodyStart };
}

function streamAbort(reader: ByteReader): StreamAbortMessage {
  const xid = reader.uint32('The xid');
  const subXid = reader.uint32('The xid of the subtransaction');
  // The two fields more come exactly when parallel streaming was asked for.
  if (reader.left === 0) return { kind: 'stream-abort', xid, subXid };
  const abort = { lsn: reader.lsn('The abort LSN'), timeUs: reader.timeUs('The abort time') };
  return { kind: 'stream-abort', xid, subXid, abort };
}

function prepare(kind: PrepareMessage['kind'], reader: ByteReader): PrepareMessage {
  unusedFlags(reader);
  return {
    kind,
    prepareLsn: reader.lsn('The prepare LSN'),
    endLsn: reader.lsn('The end LSN'),
    prepareTimeUs: reader.timeUs('The prepare time'),
    xid: reader.uint32('The xid'),
    gid: reader.cstring('The gid'),
  };
}
