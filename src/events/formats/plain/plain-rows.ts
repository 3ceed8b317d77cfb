import type { ByteWriter } from '../../byte-writer.ts';
import type { EventView, Side } from '../../change-event.ts';
import type { Relation } from '../../relation.ts';
import type { DocumentEncoder, IncompleteDocument } from '../contract.ts';
import { type RowMember, RowWriter } from '../row-writer.ts';
import { plainWriter } from './column-types.ts';

export function plainMembers(relation: Relation, columns: readonly number[]): readonly RowMember[] {
  return columns.flatMap((i) => {
    const column = relation.columns[i];
    return column === undefined ? [] : [{ column: i, name: column.name, write: plainWriter(column.type) }];
  });
}

/** One JSON object per row, columns in table order. */
export class PlainDocumentEncoder implements DocumentEncoder {
  readonly #row: RowWriter;
  #unchanged: number[] = [];

  constructor(relation: Relation, columns: readonly number[]) {
    this.#row = new RowWriter(plainMembers(relation, columns), 'omit');
  }

  document(event: EventView, side: Side, out: ByteWriter): IncompleteDocument | undefined {
    this.#row.write(event, side, out, this.#unchanged);
    if (this.#unchanged.length === 0) return undefined;
    const unchanged = this.#unchanged;
    this.#unchanged = [];
    return { unchanged };
  }
}
