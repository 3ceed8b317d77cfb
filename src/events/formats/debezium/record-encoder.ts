import { ByteWriter } from '../../byte-writer.ts';
import type { EventView, Side } from '../../change-event.ts';
import type { Relation } from '../../relation.ts';
import { writeBase64 } from '../../values/base64.ts';
import { writeInteger } from '../../values/integers.ts';
import { jacksonBytes } from '../../values/json-string.ts';
import type { RecordContext, RecordEncoder, RecordHeader } from '../contract.ts';
import { KeyWriter, type RowMember, RowWriter } from '../row-writer.ts';
import { connectType } from './column-types.ts';
import { schemaPrefix } from './connect-schema.ts';
import { type DebeziumOptions, type DebeziumSettings, debeziumSettings } from './options.ts';
import {
  envelopeSchema,
  keySchema,
  MESSAGE_KEY_SCHEMA,
  messageSchema,
  type TypedColumn,
} from './record-schemas.ts';
import { SourceBlock } from './source-block.ts';
import { unavailableValue } from './unavailable-value.ts';
import { WallClock } from './wall-clock.ts';

/** What one record of an event is. A key change is a delete of the old key and a create of the new one, never an update. */
type Part = 'change' | 'tombstone' | 'delete-old' | 'create-new';

const BEFORE = Buffer.from('{"before":');
const BEFORE_NULL = Buffer.from('{"before":null,"after":');
const AFTER = Buffer.from(',"after":');
const AFTER_NULL_SOURCE = Buffer.from(',"after":null,"source":');
const SOURCE = Buffer.from(',"source":');
const NULL_SOURCE = Buffer.from('null,"source":');
const opTail = (op: string): Buffer => Buffer.from(`,"transaction":null,"op":"${op}","ts_ms":`);
const OP = { c: opTail('c'), u: opTail('u'), d: opTail('d'), r: opTail('r'), t: opTail('t') };
const CLOSE_BRACE = 0x7d;

const NO_HEADERS: readonly RecordHeader[] = [];

/** Debezium's records for one relation version. */
export class DebeziumRecordEncoder implements RecordEncoder {
  readonly #settings: DebeziumSettings;
  readonly #key: KeyWriter | undefined;
  readonly #after: RowWriter;
  readonly #before: RowWriter;
  readonly #source: SourceBlock;
  readonly #clock: WallClock;
  readonly #nowMs: () => number;
  readonly #contextHeaders: readonly RecordHeader[];
  readonly #skipped: ReadonlySet<string>;
  /** What stands before payloads when schemas are on. */
  readonly #keyPrefix: Buffer | undefined;
  readonly #valuePrefix: Buffer | undefined;
  readonly #messageKeyPrefix: Buffer | undefined;
  readonly #messagePrefix: Buffer | undefined;

  /** `columns`: indices of the columns shown in before and after; a key column left out stays in the key. */
  constructor(
    relation: Relation,
    options: DebeziumOptions,
    context: RecordContext,
    columns: readonly number[],
  ) {
    const settings = debeziumSettings(options);
    this.#settings = settings;
    const typed = relation.columns.map(
      (column): TypedColumn => ({ column, type: connectType(column.type, settings) }),
    );
    const members = columns.map((i): RowMember => rowMember(i, typed[i] as TypedColumn, settings));
    this.#after = new RowWriter(members, 'omit');
    // Columns that a key-only image does not hold are null, as in Debezium; a not nullable one is never given an invented value.
    this.#before = new RowWriter(members, 'null');
    this.#key =
      relation.key.length === 0
        ? undefined
        : new KeyWriter(relation.key.map((i) => rowMember(i, typed[i] as TypedColumn, settings)));
    this.#source = new SourceBlock(relation, context);
    this.#clock = new WallClock(context.nowMs);
    this.#nowMs = context.nowMs;
    this.#contextHeaders = settings.extended_headers_enabled ? contextHeaders(context) : NO_HEADERS;
    this.#skipped = new Set(settings.skipped_operations);
    if (settings.schemas_enable) {
      const keyColumns = relation.key.map((i) => typed[i] as TypedColumn);
      const shown = columns.map((i) => typed[i] as TypedColumn);
      this.#keyPrefix = schemaPrefix(keySchema(relation, context, keyColumns));
      this.#valuePrefix = schemaPrefix(envelopeSchema(relation, context, shown));
      this.#messageKeyPrefix = schemaPrefix(MESSAGE_KEY_SCHEMA);
      this.#messagePrefix = schemaPrefix(messageSchema(settings));
    }
  }

  parts(event: EventView): number {
    switch (event.op) {
      case 'insert':
        return this.#skipped.has('c') ? 0 : 1;
      case 'read':
        return this.#skipped.has('r') ? 0 : 1;
      case 'truncate':
        return this.#skipped.has('t') ? 0 : 1;
      case 'message':
        return this.#skipped.has('m') ? 0 : 1;
      case 'delete':
        return this.#skipped.has('d') ? 0 : this.#settings.tombstones_on_delete ? 2 : 1;
      case 'update':
        if (this.#skipped.has('u')) return 0;
        return !event.keyChanged ? 1 : this.#settings.tombstones_on_delete ? 3 : 2;
    }
  }

  key(event: EventView, part: number, out: ByteWriter): boolean {
    if (event.op === 'truncate') return false;
    if (event.op === 'message') {
      this.#messageKey(event, out);
      return true;
    }
    if (this.#key === undefined) return false;
    const from = out.length;
    if (this.#keyPrefix !== undefined) out.piece(this.#keyPrefix);
    try {
      this.#key.write(event, keySide(event, this.#part(event, part)), out);
    } catch (error) {
      out.length = from;
      throw error;
    }
    if (this.#keyPrefix !== undefined) out.byte(CLOSE_BRACE);
    return true;
  }

  value(event: EventView, part: number, out: ByteWriter): boolean {
    const kind = this.#part(event, part);
    if (kind === 'tombstone') return false;
    const from = out.length;
    const prefix = event.op === 'message' ? this.#messagePrefix : this.#valuePrefix;
    if (prefix !== undefined) out.piece(prefix);
    try {
      if (event.op === 'message') this.#message(event, out);
      else this.#envelope(event, kind, out);
    } catch (error) {
      out.length = from;
      throw error;
    }
    if (prefix !== undefined) out.byte(CLOSE_BRACE);
    return true;
  }

  headers(event: EventView, part: number): readonly RecordHeader[] {
    if (event.op === 'message') return NO_HEADERS;
    if (!event.keyChanged) return this.#contextHeaders;
    const created = this.#part(event, part) === 'create-new';
    const other = this.#keyPayload(event, created ? 'before' : 'after');
    return [
      { key: created ? '__debezium.oldkey' : '__debezium.newkey', value: other },
      ...this.#contextHeaders,
    ];
  }

  #part(event: EventView, part: number): Part {
    if (event.op === 'delete') return part === 0 ? 'change' : 'tombstone';
    if (event.op !== 'update' || !event.keyChanged) return 'change';
    if (part === 0) return 'delete-old';
    return part === 1 && this.#settings.tombstones_on_delete ? 'tombstone' : 'create-new';
  }

  #envelope(event: EventView, part: Part, out: ByteWriter): void {
    if (event.op === 'truncate') {
      out.piece(BEFORE_NULL);
      out.piece(NULL_SOURCE);
    } else if (event.op === 'delete' || part === 'delete-old') {
      out.piece(BEFORE);
      this.#before.write(event, 'before', out);
      out.piece(AFTER_NULL_SOURCE);
    } else {
      if (event.op === 'update' && event.beforeImage !== 'none' && part === 'change') {
        out.piece(BEFORE);
        this.#before.write(event, 'before', out);
        out.piece(AFTER);
      } else {
        out.piece(BEFORE_NULL);
      }
      this.#after.write(event, 'after', out);
      out.piece(SOURCE);
    }
    this.#source.write(event, out);
    out.piece(OP[operation(event, part)]);
    this.#clock.write(out);
  }

  #message(event: EventView, out: ByteWriter): void {
    const { prefix, content } = event.message;
    out.ascii('{"op":"m","ts_ms":');
    writeInteger(out, this.#nowMs());
    out.ascii(',"source":');
    this.#source.write(event, out);
    out.ascii(',"transaction":null,"message":{"prefix":');
    out.bytes(jacksonBytes(prefix));
    out.ascii(',"content":');
    const mode = this.#settings.binary_handling_mode;
    if (mode === 'hex') out.ascii(JSON.stringify(content.toString('hex')));
    else writeBase64(content, 0, content.length, out, mode === 'base64-url-safe');
    out.ascii('}}');
  }

  #messageKey(event: EventView, out: ByteWriter): void {
    if (this.#messageKeyPrefix !== undefined) out.piece(this.#messageKeyPrefix);
    out.ascii('{"prefix":');
    out.bytes(jacksonBytes(event.message.prefix));
    out.byte(CLOSE_BRACE);
    if (this.#messageKeyPrefix !== undefined) out.byte(CLOSE_BRACE);
  }

  #keyPayload(event: EventView, side: Side): Buffer {
    const out = new ByteWriter(256);
    this.#key?.write(event, side, out);
    return out.copy();
  }
}

function rowMember(i: number, { column, type }: TypedColumn, settings: DebeziumSettings): RowMember {
  return {
    column: i,
    name: jacksonBytes(column.name),
    write: type.write,
    unavailable: type.unavailable ?? unavailableValue(type.schema, settings.unavailable_value_placeholder),
    required: settings.schemas_enable && !column.nullable,
  };
}

function keySide(event: EventView, part: Part): Side {
  if (event.op === 'delete' || part === 'delete-old' || part === 'tombstone') return 'before';
  return 'after';
}

function operation(event: EventView, part: Part): keyof typeof OP {
  if (part === 'delete-old') return 'd';
  if (part === 'create-new') return 'c';
  switch (event.op) {
    case 'insert':
      return 'c';
    case 'update':
      return 'u';
    case 'delete':
      return 'd';
    case 'truncate':
      return 't';
    case 'read':
    case 'message':
      return 'r';
  }
}

function contextHeaders(context: RecordContext): readonly RecordHeader[] {
  const header = (name: string, value: string): RecordHeader => ({
    key: `__debezium.context.${name}`,
    value: Buffer.from(value),
  });
  return [
    header('connectorLogicalName', context.topicPrefix),
    header('taskId', '0'),
    header('connectorName', 'postgresql'),
    header('runId', context.runId),
  ];
}
