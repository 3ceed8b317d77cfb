import { ByteWriter } from '../../../src/events/byte-writer.ts';
import type { WriteValue } from '../../../src/events/values/value-writer.ts';

/** The JSON source a value writer makes of a server's text, which stands between other bytes as it does in a tuple. */
export function jsonOf(write: WriteValue, text: string | Buffer): string {
  const value = Buffer.from(text);
  const bytes = Buffer.concat([Buffer.from('<'), value, Buffer.from('>')]);
  // As small as can be: every reserve that is forgotten shows.
  const out = new ByteWriter(1);
  write(bytes, 1, 1 + value.length, out);
  return out.view().toString('utf8');
}
