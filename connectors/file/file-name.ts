import { TailraceError } from '../../src/errors/tailrace-error.ts';
import { compileDestinationTemplate } from '../../src/events/formats/templates.ts';
import type { Relation } from '../../src/events/relation.ts';

const ANY_TABLE = { schema: 's', table: 't' } as Relation;

/**
 * Names files after tables, relative to the sink's directory. Whatever may stand in a table's name and not in a file's, and the dot that
 * separates the parts, becomes %XX: two tables never meet in one file by accident.
 * Throws E_CONFIG for a template that leaves the directory.
 */
export function fileNames(
  template: string,
  context: { readonly pipeline: string; readonly database: string },
): (relation: Relation) => string {
  const names = compileDestinationTemplate(template, {
    pipeline: escapeName(context.pipeline),
    database: escapeName(context.database),
  });
  const segments = names(ANY_TABLE).split('/');
  if (template.includes('\\') || segments.some((segment) => segment === '' || segment.startsWith('.'))) {
    throw new TailraceError({
      code: 'E_CONFIG',
      message: `The template ${JSON.stringify(template)} does not name a file below the directory.`,
      fix: 'Separate directories with single slashes; no part may be empty or begin with a dot.',
    });
  }
  return (relation) =>
    names({ ...relation, schema: escapeName(relation.schema), table: escapeName(relation.table) });
}

function escapeName(name: string): string {
  return name.replaceAll(/[^\p{L}\p{N}_$-]/gu, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}

const NUMBER_DIGITS = 6;

/** `orders.ndjson`, 7: `orders.000007.ndjson`. */
export function rotatedName(name: string, number: number): string {
  const slash = name.lastIndexOf('/');
  const dot = name.lastIndexOf('.');
  const stem = dot > slash + 1 ? name.slice(0, dot) : name;
  return `${stem}.${String(number).padStart(NUMBER_DIGITS, '0')}${name.slice(stem.length)}`;
}

const ROTATED = /^(.+)\.(\d{6,})(\.[^./]+)?$/;

/** What `rotatedName` made; undefined for every other name. */
export function parseRotatedName(
  rotated: string,
): { readonly name: string; readonly number: number } | undefined {
  const [, stem, number, extension = ''] = ROTATED.exec(rotated) ?? [];
  return stem === undefined ? undefined : { name: `${stem}${extension}`, number: Number(number) };
}
