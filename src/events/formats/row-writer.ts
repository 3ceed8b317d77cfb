import type { ByteWriter } from '../byte-writer.ts';
import type { EventView, Side } from '../change-event.ts';
import { UnwritableValue, type WriteValue } from '../values/value-writer.ts';
import { missingColumn, rowError } from './row-error.ts';

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** One column as a member of the row's JSON object. */
export interface RowMember {
  /** Index in the relation. */
  readonly column: number;
  /** JSON source of the member's name. */
  readonly name: Buffer;
  readonly write: WriteValue;
  /** JSON that stands for an unchanged TOAST value; undefined leaves the member out. */
  readonly unavailable?: Buffer | undefined;
  /** Leaving the member out would break the schema that goes with it. */
  readonly required?: boolean | undefined;
}

interface CompiledMember extends RowMember {
  /** `,"name":` */
  readonly prefix: Buffer;
  readonly nullMember: Buffer;
  readonly unavailableMember: Buffer | undefined;
}

function compile(members: readonly RowMember[]): readonly CompiledMember[] {
  return members.map((member) => {
    const prefix = Buffer.concat([Buffer.from(','), member.name, Buffer.from(':')]);
    const { unavailable } = member;
    return {
      ...member,
      prefix,
      nullMember: Buffer.concat([prefix, Buffer.from('null')]),
      unavailableMember: unavailable === undefined ? undefined : Buffer.concat([prefix, unavailable]),
    };
  });
}

/** `null` writes a column that the old image does not hold as null; `omit` leaves it out. */
export type Missing = 'null' | 'omit';

/**
 * Writes the columns of one side as a JSON object, from tuple bytes to output bytes. Throws TailraceError for a value that has no
 * faithful form; what was written of the row by then is taken back.
 */
export class RowWriter {
  readonly #members: readonly CompiledMember[];
  readonly #missing: Missing;

  constructor(members: readonly RowMember[], missing: Missing) {
    this.#members = compile(members);
    this.#missing = missing;
  }

  /** `unchanged`, when given, collects the columns left out because their value was not sent. */
  write(event: EventView, side: Side, out: ByteWriter, unchanged?: number[]): void {
    const from = out.length;
    const members = this.#members;
    let column = 0;
    try {
      for (let i = 0; i < members.length; i++) {
        const member = members[i] as CompiledMember;
        column = member.column;
        const state = event.column(side, column);
        if (state === 'value') {
          out.bytes(member.prefix);
          member.write(event.bytes, event.start, event.end, out);
        } else if (state === 'null') {
          out.piece(member.nullMember);
        } else if (state === 'unchanged') {
          if (member.unavailableMember !== undefined) out.piece(member.unavailableMember);
          else if (member.required === true) throw unchangedRequired();
          else unchanged?.push(column);
        } else if (this.#missing === 'null') {
          out.piece(member.nullMember);
        }
      }
    } catch (error) {
      out.length = from;
      throw rowError(error, event, column);
    }
    closeObject(from, out);
  }
}

/** Every member was written with a comma before it: the first comma becomes the opening brace. */
function closeObject(from: number, out: ByteWriter): void {
  if (out.length === from) out.byte(OPEN_BRACE);
  else out.buffer[from] = OPEN_BRACE;
  out.byte(CLOSE_BRACE);
}

function unchangedRequired(): UnwritableValue {
  return new UnwritableValue(
    'is an unchanged TOAST value that was not sent, has no placeholder in its type, and may not be null in its schema',
    { fix: 'Set REPLICA IDENTITY FULL on the table, or schemas_enable: false on the mapping.' },
  );
}

/** Writes an event's key as a JSON object: every member is there, whatever the side's image holds. */
export class KeyWriter {
  readonly #members: readonly CompiledMember[];

  constructor(members: readonly RowMember[]) {
    this.#members = compile(members);
  }

  write(event: EventView, side: Side, out: ByteWriter): void {
    const from = out.length;
    const members = this.#members;
    let column = 0;
    try {
      for (let i = 0; i < members.length; i++) {
        const member = members[i] as CompiledMember;
        column = member.column;
        const state = event.column(side, column);
        if (state === 'value') {
          out.bytes(member.prefix);
          member.write(event.bytes, event.start, event.end, out);
        } else if (state === 'null') {
          out.piece(member.nullMember);
        } else {
          throw missingColumn(event, column, 'the event key', 'was not sent by the server');
        }
      }
    } catch (error) {
      out.length = from;
      throw rowError(error, event, column);
    }
    closeObject(from, out);
  }
}
