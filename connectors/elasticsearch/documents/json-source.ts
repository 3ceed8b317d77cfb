const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

/**
 * The members of a JSON object as slices of its source: values keep every digit, duplicate key and space they have. The source must
 * be valid JSON (our own, or what Elasticsearch has stored); throws RangeError where it visibly is not.
 */
export function jsonMembers(source: Buffer): Map<string, Buffer> {
  const members = new Map<string, Buffer>();
  let at = skipSpace(source, 0);
  if (source[at] !== OPEN_OBJECT) throw malformed(at);
  at = skipSpace(source, at + 1);
  while (source[at] !== CLOSE_OBJECT) {
    const nameEnd = endOfString(source, at);
    const name = JSON.parse(source.toString('utf8', at, nameEnd)) as string;
    at = skipSpace(source, nameEnd);
    if (source[at] !== COLON) throw malformed(at);
    const valueStart = skipSpace(source, at + 1);
    const valueEnd = endOfValue(source, valueStart);
    members.set(name, source.subarray(valueStart, valueEnd));
    at = skipSpace(source, valueEnd);
    if (source[at] === COMMA) at = skipSpace(source, at + 1);
    else if (source[at] !== CLOSE_OBJECT) throw malformed(at);
  }
  return members;
}

/** The elements of a JSON array as slices of its source. */
export function jsonElements(source: Buffer): Buffer[] {
  const elements: Buffer[] = [];
  let at = skipSpace(source, 0);
  if (source[at] !== OPEN_ARRAY) throw malformed(at);
  at = skipSpace(source, at + 1);
  while (source[at] !== CLOSE_ARRAY) {
    const end = endOfValue(source, at);
    elements.push(source.subarray(at, end));
    at = skipSpace(source, end);
    if (source[at] === COMMA) at = skipSpace(source, at + 1);
    else if (source[at] !== CLOSE_ARRAY) throw malformed(at);
  }
  return elements;
}

function endOfValue(source: Buffer, start: number): number {
  const first = source[start];
  if (first === QUOTE) return endOfString(source, start);
  if (first === OPEN_OBJECT || first === OPEN_ARRAY) return endOfNested(source, start);
  let at = start;
  while (at < source.length && !isDelimiter(source[at] as number)) at++;
  if (at === start) throw malformed(start);
  return at;
}

function endOfNested(source: Buffer, start: number): number {
  let depth = 0;
  for (let at = start; at < source.length; at++) {
    const byte = source[at];
    if (byte === QUOTE) at = endOfString(source, at) - 1;
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      if (--depth === 0) return at + 1;
    }
  }
  throw malformed(start);
}

function endOfString(source: Buffer, start: number): number {
  if (source[start] !== QUOTE) throw malformed(start);
  for (let at = start + 1; at < source.length; at++) {
    if (source[at] === BACKSLASH) at++;
    else if (source[at] === QUOTE) return at + 1;
  }
  throw malformed(start);
}

function skipSpace(source: Buffer, start: number): number {
  let at = start;
  while (at < source.length && isSpace(source[at] as number)) at++;
  return at;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isDelimiter(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY || isSpace(byte);
}

function malformed(at: number): RangeError {
  return new RangeError(`Not valid JSON: unexpected byte at ${at}`);
}
