import type { Rejection } from '../../../src/delivery/sink.ts';
import type { Relation } from '../../../src/events/relation.ts';
import type { ServerError } from '../answers.ts';

/** Beginnings of reasons, up to the field: what follows shows the value. */
const FIELD_PATTERNS: readonly RegExp[] = [
  /^(?:\[\d+:\d+\] )?failed to parse field \[(.+?)\] of type \[/,
  /^(?:\[\d+:\d+\] )?object mapping for \[(.+?)\] tried to parse/,
  /^(?:\[\d+:\d+\] )?mapping set to strict, dynamic introduction of \[(.+?)\] within/,
  /^Document contains at least one immense term in field="(.+?)" /,
];

/** A refused document as a rejection. The server's own words hold values of the row and stay out. */
export function rejectionOf(item: number, error: ServerError, relation: Relation): Rejection {
  return { item, reason: error.type, detail: explain(error, relation) };
}

export function explain({ type, reason }: ServerError, relation: Relation): string {
  const column = columnIn(reason, relation);
  const where = column === undefined ? '' : ` (column ${column})`;
  switch (type) {
    case 'document_parsing_exception':
    case 'mapper_parsing_exception':
      return column === undefined
        ? 'the index cannot read the document as its mapping says'
        : `the value of column ${column} does not fit the type of its field`;
    case 'strict_dynamic_mapping_exception':
      return `the mapping is strict and has no such field${where}`;
    case 'illegal_argument_exception':
      return column === undefined
        ? 'the index refuses the document'
        : `the value of column ${column} is longer than a term may be: give the field ignore_above, or type text`;
    case 'status 413':
    case 'content_too_large':
      return 'the document is larger than http.max_content_length';
    default:
      return `the index refuses the document${where}`;
  }
}

/** The column a reason begins by naming: known names only, never other text. */
function columnIn(reason: string, relation: Relation): string | undefined {
  for (const pattern of FIELD_PATTERNS) {
    const field = pattern.exec(reason)?.[1];
    if (field === undefined) continue;
    const names = relation.columns.map(({ name }) => name);
    return names.find((name) => field === name) ?? names.find((name) => field.startsWith(`${name}.`));
  }
  return undefined;
}
