import { QuotedText } from './quoted-text.ts';
import { UnwritableValue, unreadable, type WriteValue } from './value-writer.ts';

const OPEN = 0x7b;
const CLOSE = 0x7d;
const QUOTE = 0x22;
const EQUALS = 0x3d;
const BRACKET = 0x5b;
const COMMA = 0x2c;

export interface ArrayOptions {
  readonly element: WriteValue;
  /** pg_type.typdelim of the element type, one ASCII character. */
  readonly delimiter: string;
  /** False where the output's schema has no room for more than one dimension: such a value is then refused. */
  readonly nested: boolean;
}

/**
 * JSON arrays, one level for each dimension, from array text: `{1,NULL,"a \"b\""}`, `{{1,2},{3,4}}`, `[0:1]={a,b}`.
 * Lower bounds other than 1 have no place in JSON and are left out.
 * https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
export function arrayWriter(options: ArrayOptions): WriteValue {
  const { element, nested } = options;
  const delimiter = options.delimiter.charCodeAt(0);
  const quoted = new QuotedText();

  return (bytes, start, end, out) => {
    let at = skipBounds(bytes, start, end);
    let depth = 0;
    let first = true;
    while (at < end) {
      const char = bytes[at] as number;
      if (char === CLOSE) {
        out.byte(0x5d);
        first = false;
        at++;
        if (--depth === 0) break;
        continue;
      }
      if (char === delimiter && depth > 0) {
        at++;
        continue;
      }
      if (char === OPEN) {
        if (!first) out.byte(COMMA);
        if (depth > 0 && !nested) throw multidimensional();
        out.byte(BRACKET);
        depth++;
        first = true;
        at++;
        continue;
      }
      if (depth === 0) throw unreadable('array');
      if (!first) out.byte(COMMA);
      first = false;
      if (char === QUOTE) {
        at = quoted.read(bytes, at + 1, end);
        if (at < 0) throw unreadable('array');
        element(quoted.bytes, quoted.start, quoted.end, out);
      } else {
        const from = at;
        while (at < end && bytes[at] !== delimiter && bytes[at] !== CLOSE) at++;
        if (isNull(bytes, from, at)) out.ascii('null');
        else element(bytes, from, at, out);
      }
    }
    if (depth !== 0 || at !== end || start === end) throw unreadable('array');
  };
}

function skipBounds(bytes: Buffer, start: number, end: number): number {
  if (bytes[start] !== BRACKET) return start;
  const equals = bytes.indexOf(EQUALS, start);
  if (equals < 0 || equals >= end) throw unreadable('array');
  return equals + 1;
}

/** An unquoted NULL; the text "NULL" as a value is always quoted. */
function isNull(bytes: Buffer, start: number, end: number): boolean {
  return end - start === 4 && bytes.latin1Slice(start, end) === 'NULL';
}

function multidimensional(): UnwritableValue {
  return new UnwritableValue(
    'is an array of more than one dimension, which its Connect schema has no room for',
    {
      fix: 'Use the format without schemas, or keep such values in a jsonb column.',
    },
  );
}
