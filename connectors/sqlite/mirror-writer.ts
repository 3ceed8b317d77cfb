import type { DatabaseSync } from 'node:sqlite';
import type { Rejection } from '../../src/delivery/sink.ts';
import { type ColumnValue, readValue } from './column-values.ts';
import { MirrorStatements } from './mirror-statements.ts';
import type { MirrorTable } from './mirror-table.ts';
import { OPERATION, type Operation, PackedReader } from './packed-batch.ts';
import { type Owner, type Reconciled, reconcileSchema } from './reconcile-schema.ts';
import { RESULT, refusesRow, resultCode, resultName } from './sqlite-errors.ts';

export interface SchemaNote {
  readonly mirror: string;
  readonly source: string;
  readonly what: Reconciled;
}

/** One definition of a mirror, and what is needed to write rows of it. */
interface Target {
  readonly table: MirrorTable;
  readonly statements: MirrorStatements;
  readonly row: ColumnValue[];
  readonly old: ColumnValue[];
  readonly key: ColumnValue[];
}

interface Refusal {
  readonly reason: string;
  readonly detail: string;
}

const UNCHANGED_TOAST: Refusal = {
  reason: 'unchanged_value_unknown',
  detail:
    'the row is not in the mirror and the event lacks a large value that it left as it was: a row older than the mirror. ' +
    'REPLICA IDENTITY FULL sends such values',
};
const INVALID_TEXT: Refusal = {
  reason: 'E_ENCODING',
  detail: 'a text of the row is not valid UTF-8: the database, in SQL_ASCII, does not check it',
};
const DUPLICATE_KEY: Refusal = {
  reason: 'duplicate_key',
  detail:
    'another row of the mirror has this key at this point of the transaction: the key of the table is deferrable',
};

/** Applies packed batches inside a transaction that somebody else begins and ends. */
export class MirrorWriter {
  readonly #db: DatabaseSync;
  readonly #owner: Owner;
  readonly #definitions = new Map<number, MirrorTable>();
  readonly #targets = new Map<number, Target>();
  /** Which definition each mirror table has now. */
  readonly #current = new Map<string, number>();

  constructor(db: DatabaseSync, owner: Owner) {
    this.#db = db;
    this.#owner = owner;
  }

  define(mirror: number, table: MirrorTable): void {
    this.#definitions.set(mirror, table);
  }

  /** After a rollback: the shapes of the tables may not be what they were thought to be. */
  forget(): void {
    this.#targets.clear();
    this.#current.clear();
  }

  /** Writes every item it can, so that all that are refused are known at once. */
  write(bytes: Buffer): { rejected: Rejection[]; notes: SchemaNote[] } {
    const packed = new PackedReader(bytes);
    const rejected: Rejection[] = [];
    const notes: SchemaNote[] = [];
    for (let i = 0; !packed.done; i++) {
      const operation = packed.operation();
      const target = this.#target(packed.mirror(), notes);
      readOperands(packed, operation, target);
      const refusal = packed.hasInvalidText ? INVALID_TEXT : this.#apply(operation, target);
      packed.hasInvalidText = false;
      if (refusal !== undefined) rejected.push({ item: i, ...refusal });
    }
    return { rejected, notes };
  }

  #target(mirror: number, notes: SchemaNote[]): Target {
    const table = this.#definitions.get(mirror);
    if (table === undefined) throw new RangeError(`Mirror ${mirror} was not defined`);
    if (this.#current.get(table.name) !== mirror) {
      const what = reconcileSchema(this.#db, this.#owner, table);
      if (what !== 'unchanged') notes.push({ mirror: table.name, source: table.source, what });
      this.#current.set(table.name, mirror);
    }
    let target = this.#targets.get(mirror);
    if (target === undefined) {
      const statements = new MirrorStatements(this.#db, table);
      target = { table, statements, row: [], old: [], key: [] };
      this.#targets.set(mirror, target);
    }
    return target;
  }

  #apply(operation: Operation, target: Target): Refusal | undefined {
    try {
      return applyOperation(operation, target);
    } catch (thrown) {
      const code = resultCode(thrown);
      if (code === undefined || !refusesRow(code)) throw thrown;
      if (code === RESULT.constraint && target.table.wholeImages) return DUPLICATE_KEY;
      return {
        reason: resultName(code),
        detail:
          code === RESULT.tooBig
            ? 'the row is larger than SQLite allows (1 GB)'
            : `table ${target.table.name} refuses the row: ${(thrown as Error).message}`,
      };
    }
  }
}

function readOperands(packed: PackedReader, operation: Operation, target: Target): void {
  const { columns, key } = target.table;
  if (operation === OPERATION.truncate) return;
  if (operation === OPERATION.move || operation === OPERATION.delete) {
    for (let i = 0; i < key.length; i++) {
      target.key[i] = readValue(
        packed,
        (columns[key[i] as number] as MirrorTable['columns'][number]).storage,
      );
    }
    if (operation === OPERATION.delete) return;
  }
  if (operation === OPERATION.remove || operation === OPERATION.replace) {
    for (let i = 0; i < columns.length; i++) {
      target.old[i] = readValue(packed, (columns[i] as MirrorTable['columns'][number]).storage);
    }
    if (operation === OPERATION.remove) return;
  }
  for (let i = 0; i < columns.length; i++) {
    target.row[i] = readValue(packed, (columns[i] as MirrorTable['columns'][number]).storage);
  }
}

function applyOperation(operation: Operation, target: Target): Refusal | undefined {
  const { statements, row, old, key } = target;
  switch (operation) {
    case OPERATION.upsert:
    case OPERATION.insert:
      if (row.includes(undefined)) return UNCHANGED_TOAST;
      if (operation === OPERATION.upsert) statements.upsert(row);
      else statements.insert(row);
      return undefined;
    case OPERATION.update: {
      if (!row.includes(undefined)) {
        statements.upsert(row);
        return undefined;
      }
      return statements.update(keyOf(target), row) ? undefined : UNCHANGED_TOAST;
    }
    case OPERATION.move:
      return move(target);
    case OPERATION.delete:
      statements.delete(key);
      return undefined;
    case OPERATION.truncate:
      statements.truncate();
      return undefined;
    case OPERATION.remove:
      statements.remove(old);
      return undefined;
    case OPERATION.replace: {
      if (row.includes(undefined)) return UNCHANGED_TOAST;
      if (!statements.replace(old, row)) statements.insert(row);
      return undefined;
    }
  }
}

/** The row keeps what the event leaves out, which a removal and a new row would lose. */
function move(target: Target): Refusal | undefined {
  const { statements, row, key, table } = target;
  let moved: boolean;
  try {
    moved = statements.update(key, row);
  } catch (thrown) {
    if (resultCode(thrown) !== RESULT.constraint || table.wholeImages) throw thrown;
    // The source has no other row with this key: what stands here is what a row left behind that was never mirrored.
    statements.delete(keyOf(target));
    moved = statements.update(key, row);
  }
  if (moved) return undefined;
  if (row.includes(undefined)) return UNCHANGED_TOAST;
  statements.upsert(row);
  return undefined;
}

function keyOf({ row, table }: Target): ColumnValue[] {
  return table.key.map((i) => row[i]);
}
