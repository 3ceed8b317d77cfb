import { TailraceError } from '../../errors/tailrace-error.ts';
import type { EventView, Side } from '../change-event.ts';
import type { Relation } from '../relation.ts';
import type { DestinationTemplate, TextTemplate } from './contract.ts';
import { missingColumn } from './row-error.ts';

/** Literal text and names in braces, alternating; `{{` and `}}` are literal braces. */
type Piece = { readonly text: string } | { readonly name: string };

/**
 * Compiles a text per row, `orders-{id}`: `{column}` is the column's text as PostgreSQL prints it.
 * Throws E_CONFIG for a column that the table does not have or the configuration excludes.
 */
export function compileTextTemplate(template: string, relation: Relation): TextTemplate {
  const pieces = parse(template).map((piece) =>
    'text' in piece ? piece.text : columnOf(template, piece.name, relation),
  );
  const purpose = `the template ${JSON.stringify(template)}`;
  return {
    columns: pieces.filter((piece) => typeof piece === 'number'),
    render(event: EventView, side: Side): string {
      let text = '';
      for (const piece of pieces) {
        if (typeof piece === 'string') text += piece;
        else {
          const state = event.column(side, piece);
          if (state === 'value') text += event.text();
          else if (state === 'null') throw missingColumn(event, piece, purpose, 'is null', NEVER_NULL);
          else throw missingColumn(event, piece, purpose, WHY[state]);
        }
      }
      return text;
    },
  };
}

const NEVER_NULL = 'Use columns that are never null.';

const WHY = {
  unchanged: 'is an unchanged TOAST value that was not sent',
  'not-captured': 'was not sent by the server',
  absent: 'is not in the event',
};

function columnOf(template: string, name: string, relation: Relation): number {
  const column = relation.columns.findIndex((candidate) => candidate.name === name && candidate.captured);
  if (column >= 0) return column;
  const available = relation.columns.filter((candidate) => candidate.captured);
  throw unknownName(
    template,
    name,
    `columns of ${relation.schema}.${relation.table}`,
    available.map((candidate) => candidate.name),
  );
}

/**
 * Compiles a name per table, `{pipeline}.{schema}.{table}`. `values` are the placeholders besides schema and table.
 * Throws E_CONFIG for others.
 */
export function compileDestinationTemplate(
  template: string,
  values: { readonly pipeline: string; readonly database: string },
): DestinationTemplate {
  const pieces = parse(template);
  for (const piece of pieces) {
    if ('name' in piece && !DESTINATION_NAMES.includes(piece.name)) {
      throw unknownName(template, piece.name, 'placeholders of a destination', DESTINATION_NAMES);
    }
  }
  return (relation) => {
    const known: Readonly<Record<string, string>> = {
      ...values,
      schema: relation.schema,
      table: relation.table,
    };
    return pieces.map((piece) => ('text' in piece ? piece.text : known[piece.name])).join('');
  };
}

const DESTINATION_NAMES: readonly string[] = ['schema', 'table', 'pipeline', 'database'];

function parse(template: string): readonly Piece[] {
  const pieces: Piece[] = [];
  const token = /\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+/g;
  for (const match of template.matchAll(token)) {
    const [text, name] = match;
    if (name !== undefined) pieces.push({ name });
    else if (text === '{' || text === '}') {
      throw new TailraceError({
        code: 'E_CONFIG',
        message: `The template ${JSON.stringify(template)} has an unpaired "${text}".`,
        fix: `Write "${text}${text}" for the character itself.`,
      });
    } else pieces.push({ text: text === '{{' ? '{' : text === '}}' ? '}' : text });
  }
  return pieces;
}

function unknownName(
  template: string,
  name: string,
  what: string,
  available: readonly string[],
): TailraceError {
  return new TailraceError({
    code: 'E_CONFIG',
    message: `The template ${JSON.stringify(template)} names {${name}}, which is none of the ${what}.`,
    fix: `Available: ${available.map((candidate) => `{${candidate}}`).join(', ')}.`,
  });
}
