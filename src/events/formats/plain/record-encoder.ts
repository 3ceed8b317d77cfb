import type { ByteWriter } from '../../byte-writer.ts';
import type { EventView, Side } from '../../change-event.ts';
import type { Relation } from '../../relation.ts';
import { writeBase64 } from '../../values/base64.ts';
import type { RecordEncoder, RecordHeader } from '../contract.ts';
import { KeyWriter, RowWriter } from '../row-writer.ts';
import type { PlainOptions } from './options.ts';
import { plainMembers } from './plain-rows.ts';

const NO_HEADERS: readonly RecordHeader[] = [];
const CLOSE_BRACE = 0x7d;
const OPEN_BRACE = 0x7b;

/** Debezium's flattened form: the row alone. A key change is a delete of the old key and the row under the new one. */
export class PlainRecordEncoder implements RecordEncoder {
  readonly #deletes: NonNullable<PlainOptions['deletes']>;
  readonly #truncate: Buffer | undefined;
  readonly #key: KeyWriter | undefined;
  readonly #row: RowWriter;
  readonly #names: readonly string[];
  readonly #unchanged: number[] = [];

  constructor(relation: Relation, options: PlainOptions, columns: readonly number[]) {
    this.#deletes = options.deletes ?? 'tombstone';
    this.#truncate =
      options.truncates === 'marker'
        ? Buffer.from(
            JSON.stringify({ __op: 'truncate', __schema: relation.schema, __table: relation.table }),
          )
        : undefined;
    this.#key = relation.key.length === 0 ? undefined : new KeyWriter(plainMembers(relation, relation.key));
    this.#row = new RowWriter(plainMembers(relation, columns), 'omit');
    this.#names = relation.columns.map((column) => column.name);
  }

  parts(event: EventView): number {
    switch (event.op) {
      case 'insert':
      case 'read':
      case 'message':
        return 1;
      case 'update':
        return event.keyChanged && this.#deletes !== 'drop' ? 2 : 1;
      case 'delete':
        return this.#deletes === 'drop' ? 0 : 1;
      case 'truncate':
        return this.#truncate === undefined ? 0 : 1;
    }
  }

  key(event: EventView, part: number, out: ByteWriter): boolean {
    if (event.op === 'message') {
      out.utf8(JSON.stringify({ prefix: event.message.prefix }));
      return true;
    }
    if (this.#key === undefined || event.op === 'truncate') return false;
    this.#key.write(event, this.#side(event, part), out);
    return true;
  }

  value(event: EventView, part: number, out: ByteWriter): boolean {
    if (event.op === 'message') {
      writeMessage(event, out);
      return true;
    }
    if (event.op === 'truncate') {
      if (this.#truncate === undefined) return false;
      out.bytes(this.#truncate);
      return true;
    }
    const side = this.#side(event, part);
    if (side === 'before' && this.#deletes === 'tombstone') return false;
    this.#unchanged.length = 0;
    this.#row.write(event, side, out, this.#unchanged);
    if (this.#deletes === 'rewrite') {
      append(out, side === 'before' ? '"__deleted":"true"}' : '"__deleted":"false"}');
    }
    if (this.#unchanged.length > 0) this.#nameUnchanged(out);
    return true;
  }

  headers(): readonly RecordHeader[] {
    return NO_HEADERS;
  }

  #side(event: EventView, part: number): Side {
    if (event.op === 'delete') return 'before';
    return part === 0 && event.keyChanged && this.#deletes !== 'drop' ? 'before' : 'after';
  }

  /** Columns whose value was not sent are not in the row; which they are is said, so that nobody takes them for gone. */
  #nameUnchanged(out: ByteWriter): void {
    const names = this.#unchanged.map((column) => this.#names[column]);
    append(out, `"__unchanged":${JSON.stringify(names)}}`);
  }
}

/** Replaces the object's closing brace by one more member. */
function append(out: ByteWriter, member: string): void {
  out.length--;
  if (out.buffer[out.length - 1] !== OPEN_BRACE) out.ascii(',');
  out.utf8(member);
}

function writeMessage(event: EventView, out: ByteWriter): void {
  const { prefix, content } = event.message;
  out.utf8(`{"prefix":${JSON.stringify(prefix)},"content":`);
  writeBase64(content, 0, content.length, out);
  out.byte(CLOSE_BRACE);
}
