import { QuotedText } from './quoted-text.ts';
import { unreadable, type WriteValue } from './value-writer.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const SPACE = 0x20;

/**
 * A JSON object from hstore text, members in the server's order: `"a"=>"1", "b"=>NULL` becomes `{"a":"1","b":null}`.
 * `writeText` writes keys and values as JSON strings.
 * https://www.postgresql.org/docs/current/hstore.html
 */
export function hstoreWriter(writeText: WriteValue): WriteValue {
  const quoted = new QuotedText();
  return (bytes, start, end, out) => {
    out.byte(0x7b);
    let at = start;
    while (at < end) {
      if (at > start) {
        if (bytes[at] !== COMMA || bytes[at + 1] !== SPACE) throw unreadable('hstore');
        at += 2;
        out.byte(COMMA);
      }
      if (bytes[at] !== QUOTE) throw unreadable('hstore');
      at = quoted.read(bytes, at + 1, end);
      if (at < 0 || at + 3 > end || bytes.latin1Slice(at, at + 2) !== '=>') throw unreadable('hstore');
      writeText(quoted.bytes, quoted.start, quoted.end, out);
      out.byte(0x3a);
      at += 2;
      if (bytes[at] === QUOTE) {
        at = quoted.read(bytes, at + 1, end);
        if (at < 0) throw unreadable('hstore');
        writeText(quoted.bytes, quoted.start, quoted.end, out);
      } else if (bytes.latin1Slice(at, Math.min(at + 4, end)) === 'NULL') {
        out.ascii('null');
        at += 4;
      } else throw unreadable('hstore');
    }
    out.byte(0x7d);
  };
}
