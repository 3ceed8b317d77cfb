import type { ByteWriter } from '../../byte-writer.ts';
import type { EventView, Side } from '../../change-event.ts';
import type { Relation } from '../../relation.ts';
import { jsonBytes } from '../../values/json-string.ts';
import type { DocumentEncoder, IncompleteDocument } from '../contract.ts';
import { type RowMember, RowWriter } from '../row-writer.ts';
import { plainWriter } from './column-types.ts';

export function plainMembers(relation: Relation, columns: readonly number[]): readonly RowMember[] {
  return columns.flatMap((i) => {
    const column = relation.columns[i];
    return column === undefined
      ? []
      : [{ column: i, name: jsonBytes(column.name), write: plainWriter(column.type) }];
  });
}

/** One JSON object per row, columns in table order. */
export class PlainDocumentEncoder implements DocumentEncoder {
  readonly #row: RowWriter;
  readonly #unchanged: number[] = [];

  constructor(relation: Relation, columns: readonly number[]) {
    this.#row = new RowWriter(plainMembers(relation, columns), 'omit');
  }

  document(event: EventView, side: Side, out: ByteWriter): IncompleteDocument | undefined {
    const unchanged = this.#unchanged;
    unchanged.length = 0;
    this.#row.write(event, side, out, unchanged);
    return unchanged.length === 0 ? undefined : { unchanged: [...unchanged] };
  }
}
