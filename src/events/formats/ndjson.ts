import { TailraceError } from '../../errors/tailrace-error.ts';
import type { ByteWriter } from '../byte-writer.ts';
import type { EventView } from '../change-event.ts';
import type { RecordEncoder } from './contract.ts';

const NEWLINE = 0x0a;

/** What a line holds: the value of a record, or an object with key and value. */
export type LineRecords = 'value' | 'key_value';

export interface LineOptions {
  readonly encoder: RecordEncoder;
  readonly records: LineRecords;
}

/**
 * Writes one record as one line of JSON; nothing for a tombstone where only values are wanted. Encoders write no newline themselves.
 * What was written of a record before its encoder throws is for the caller to take back.
 */
export function writeLine(
  { encoder, records }: LineOptions,
  event: EventView,
  part: number,
  out: ByteWriter,
): void {
  if (records === 'value') {
    if (encoder.value(event, part, out)) out.byte(NEWLINE);
    return;
  }
  out.ascii('{"key":');
  if (!encoder.key(event, part, out)) out.ascii('null');
  out.ascii(',"value":');
  if (!encoder.value(event, part, out)) out.ascii('null');
  out.ascii('}\n');
}

/** The refusal of a single event that an encoder cannot express; undefined for every other error. */
export function refusalOf(thrown: unknown): { readonly reason: string; readonly detail: string } | undefined {
  if (!(thrown instanceof TailraceError)) return undefined;
  if (thrown.code !== 'E_UNSUPPORTED_ROW' && thrown.code !== 'E_ENCODING') return undefined;
  return { reason: thrown.code, detail: thrown.message };
}
