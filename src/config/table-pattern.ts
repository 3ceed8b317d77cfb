/**
 * Which tables an entry of `tables:` stands for.
 *
 *   public.orders              one table
 *   shop.*                     every table of a schema
 *   *.audit                    the tables of that name in every schema
 *   shop.order_*               `*` stands for any characters within a name, `?` for one
 *   public."Order.Lines*"      between double quotes everything is literal, "" is a double quote
 *
 * Always schema, dot, table. Names are compared as they are written here: unlike in SQL, unquoted ones are not folded to lower case.
 */
export class TablePattern {
  /** As written in the configuration. */
  readonly text: string;
  /** The one table it names, when it holds no wildcard. */
  readonly exact: TableName | undefined;
  readonly #schema: NamePattern;
  readonly #table: NamePattern;

  private constructor(text: string, schema: NamePattern, table: NamePattern) {
    this.text = text;
    this.#schema = schema;
    this.#table = table;
    this.exact =
      schema.literal === undefined || table.literal === undefined
        ? undefined
        : { schema: schema.literal, table: table.literal };
  }

  /** Throws SyntaxError, with a message for the user, for anything else than described above. */
  static parse(text: string): TablePattern {
    const parts = new PatternReader(text).parts();
    const [schema, table] = parts;
    if (schema === undefined || table === undefined || parts.length !== 2) {
      throw new SyntaxError(
        parts.length === 1
          ? `expected schema.table, such as public.${text}`
          : `expected schema.table with one dot; a name that holds a dot is put between double quotes`,
      );
    }
    return new TablePattern(text, schema, table);
  }

  matches(schema: string, table: string): boolean {
    return this.#schema.matches(schema) && this.#table.matches(table);
  }

  toString(): string {
    return this.text;
  }
}

export interface TableName {
  readonly schema: string;
  readonly table: string;
}

/** The spelling that {@link TablePattern.parse} reads as exactly this table; also what messages call it. */
export function formatTableName({ schema, table }: TableName): string {
  return `${formatName(schema)}.${formatName(table)}`;
}

const PLAIN_NAME = /^[^\s."*?]+$/;

function formatName(name: string): string {
  return PLAIN_NAME.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

interface NamePattern {
  /** Undefined when it holds a wildcard. */
  readonly literal: string | undefined;
  matches(name: string): boolean;
}

function literally(name: string): NamePattern {
  return { literal: name, matches: (candidate) => candidate === name };
}

class PatternReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parts(): NamePattern[] {
    const parts = [this.#part()];
    while (this.#text[this.#at] === '.') {
      this.#at += 1;
      parts.push(this.#part());
    }
    if (this.#at < this.#text.length) {
      throw new SyntaxError(
        `unexpected ${JSON.stringify(this.#text[this.#at])}; a name with spaces or double quotes is put between double quotes`,
      );
    }
    return parts;
  }

  #part(): NamePattern {
    return this.#text[this.#at] === '"' ? this.#quoted() : this.#plain();
  }

  #quoted(): NamePattern {
    const [whole, inner] = this.#take(/"((?:[^"]|"")*)"/y) ?? [];
    if (whole === undefined || inner === undefined) throw new SyntaxError('a double quote is not closed');
    if (inner === '') throw new SyntaxError('a name is empty');
    return literally(inner.replaceAll('""', '"'));
  }

  #plain(): NamePattern {
    const [name] = this.#take(/[^\s."]+/y) ?? [];
    if (name === undefined) throw new SyntaxError('a name is empty');
    if (!/[*?]/.test(name)) return literally(name);
    const escaped = name.replace(/[\\^$.+()[\]{}|/]/g, '\\$&');
    const shape = new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 'su');
    return { literal: undefined, matches: (candidate) => shape.test(candidate) };
  }

  #take(shape: RegExp): RegExpExecArray | null {
    shape.lastIndex = this.#at;
    const match = shape.exec(this.#text);
    if (match !== null) this.#at = shape.lastIndex;
    return match;
  }
}
