import { TailraceError } from '../errors/tailrace-error.ts';

type Part = { readonly literal: string } | { readonly glob: RegExp };

const PART = /"((?:[^"]|"")+)"|([^".]+)/y;

/**
 * A table of the configuration: `public.orders`, or a pattern: `shop.*`, `*.audit_?`.
 *
 * `*` stands for any run of characters and `?` for one. Names are as the catalog has them: letters are not folded. A name with dots,
 * quotes or wildcards in it goes into double quotes, as in SQL: `public."Order.Lines"`; inside quotes nothing is a wildcard.
 */
export class TablePattern {
  /** As written. */
  readonly text: string;
  /** Present when the pattern can match one table only. */
  readonly exact: { readonly schema: string; readonly table: string } | undefined;
  readonly #schema: Part;
  readonly #table: Part;

  private constructor(text: string, schema: Part, table: Part) {
    this.text = text;
    this.#schema = schema;
    this.#table = table;
    this.exact =
      'literal' in schema && 'literal' in table
        ? { schema: schema.literal, table: table.literal }
        : undefined;
  }

  /** Throws E_CONFIG for anything but `schema.table`. */
  static parse(text: string): TablePattern {
    const parts: Part[] = [];
    PART.lastIndex = 0;
    for (let at = 0; ; ) {
      const found = PART.exec(text);
      if (found === null) throw malformed(text);
      const [whole, quoted, plain] = found;
      parts.push(quoted === undefined ? plainPart(plain ?? '') : { literal: quoted.replaceAll('""', '"') });
      at += whole.length;
      if (at === text.length) break;
      if (text[at] !== '.') throw malformed(text);
      at += 1;
      PART.lastIndex = at;
    }
    const [schema, table] = parts;
    if (parts.length !== 2 || schema === undefined || table === undefined) throw malformed(text);
    return new TablePattern(text, schema, table);
  }

  matches(schema: string, table: string): boolean {
    return partMatches(this.#schema, schema) && partMatches(this.#table, table);
  }
}

function plainPart(text: string): Part {
  if (!/[*?]/.test(text)) return { literal: text };
  const source = text
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return { glob: new RegExp(`^${source}$`, 'su') };
}

function partMatches(part: Part, name: string): boolean {
  return 'literal' in part ? part.literal === name : part.glob.test(name);
}

function malformed(text: string): TailraceError {
  return new TailraceError({
    code: 'E_CONFIG',
    message:
      `not a table: expected schema.table, such as public.orders, or a pattern such as shop.*; ` +
      `names with dots or quotes go into double quotes (${JSON.stringify(text)})`,
  });
}
