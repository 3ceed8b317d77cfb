import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { formatPosition, type Position } from '../../../src/events/position.ts';
import type { Relation } from '../../../src/events/relation.ts';

/** A row that lacks unchanged values which nothing holds. */
export interface LostValues {
  readonly index: string;
  readonly relation: Relation;
  readonly position: Position;
  /** Names of columns. */
  readonly missing: readonly string[];
}

/**
 * Rows that could not be completed while events are repeated after a restart: their documents are not there, most likely because the
 * instance before went further and deleted them. Then the deletion comes again, before the versions it can have issued are passed.
 */
export class AwaitedRows {
  readonly #rows = new Map<string, LostValues>();

  get size(): number {
    return this.#rows.size;
  }

  add(id: string, row: LostValues): void {
    this.#rows.set(key(row.index, id), row);
  }

  /** The document has been written or deleted. */
  settled(index: string, id: string): void {
    if (this.#rows.size > 0) this.#rows.delete(key(index, id));
  }

  truncated(index: string): void {
    for (const [at, row] of this.#rows) if (row.index === index) this.#rows.delete(at);
  }

  /** Throws E_UNSUPPORTED_ROW, once, when rows are left after everything was repeated. */
  requireNone(): void {
    const [first] = this.#rows.values();
    if (first === undefined) return;
    const { size } = this.#rows;
    this.#rows.clear();
    throw incompleteRow(first, size - 1);
  }
}

/** `more`: how many other rows are like it. */
export function incompleteRow({ index, relation, position, missing }: LostValues, more = 0): TailraceError {
  const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
  return new TailraceError({
    code: 'E_UNSUPPORTED_ROW',
    message:
      `The update of ${relation.schema}.${relation.table} at ${formatPosition(position)} leaves ${missing.join(', ')} unchanged: the server does ` +
      `not send large values that an update leaves alone, and ${index} has no document to take them from${more === 0 ? '' : ` (${more} more rows are like it)`}.`,
    fix: `ALTER TABLE ${quote(relation.schema)}.${quote(relation.table)} REPLICA IDENTITY FULL; -- for updates from now on`,
  });
}

function key(index: string, id: string): string {
  return `${index}\n${id}`;
}
