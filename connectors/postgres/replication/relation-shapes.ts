import { isDeepStrictEqual } from 'node:util';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { RelationDefinition } from '../../../src/events/relation.ts';
import type { RelationMessage } from '../pgoutput/messages.ts';

interface Shape {
  readonly message: RelationMessage;
  readonly definition: RelationDefinition;
}

/**
 * The shapes of one connection's relations. The server sends a Relation message again whenever anything about the table may have changed (DDL, ANALYZE), and not all that may have
 * is in it: keys and NOT NULL are not. So the catalog is asked each time; an equal answer is no new version. But the catalog knows the present and the
 * stream may be far in the past: what it has forgotten since (a dropped table or column) is not taken back.
 */
export class RelationShapes {
  readonly #ask: (message: RelationMessage) => Promise<RelationDefinition>;
  readonly #known = new Map<number, Shape>();

  constructor(ask: (message: RelationMessage) => Promise<RelationDefinition>) {
    this.#ask = ask;
  }

  async lookUp(message: RelationMessage): Promise<RelationDefinition> {
    const answer = await this.#ask(message);
    requireColumns(message, answer);
    const known = this.#known.get(message.oid);
    if (
      known !== undefined &&
      isDeepStrictEqual(known.message, message) &&
      forgets(answer, known.definition)
    ) {
      return known.definition;
    }
    this.#known.set(message.oid, { message, definition: answer });
    return answer;
  }
}

/** Whether a column that was known to the catalog is not any more. */
function forgets(answer: RelationDefinition, known: RelationDefinition): boolean {
  return answer.columns.some((column, i) => column.attnum === 0 && known.columns[i]?.attnum !== 0);
}

/** Rows are read by the definition's columns: they have to be the message's, in its order. */
function requireColumns(message: RelationMessage, { columns }: RelationDefinition): void {
  const same =
    columns.length === message.columns.length &&
    columns.every((column, i) => {
      const sent = message.columns[i];
      return column.name === sent?.name && column.type.oid === sent.typeOid;
    });
  if (same) return;
  throw new TailraceError({
    code: 'E_INTERNAL',
    message: `The definition of ${message.schema}.${message.table} does not have the columns of its Relation message.`,
  });
}
