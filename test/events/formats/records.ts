import { ByteWriter } from '../../../src/events/byte-writer.ts';
import type { EventView } from '../../../src/events/change-event.ts';
import type { RecordContext, RecordEncoder } from '../../../src/events/formats/contract.ts';

export const NOW_MS = 1_700_000_000_123;

export const CONTEXT: RecordContext = {
  topicPrefix: 'shop',
  database: 'shopdb',
  version: '1.2.3',
  runId: '7b1b6a0e-0000-4000-8000-000000000001',
  nowMs: () => NOW_MS,
};

export interface TextRecord {
  /** JSON source; null for a null key or a tombstone. */
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** All records of an event, as a sink of records takes them from an encoder. */
export function recordsOf(encoder: RecordEncoder, event: EventView): readonly TextRecord[] {
  const out = new ByteWriter(1);
  const take = (write: () => boolean): string | null => {
    const from = out.length;
    if (!write()) {
      if (out.length !== from) throw new Error('null, and yet something was written');
      return null;
    }
    return out.copy(from).toString('utf8');
  };
  return Array.from({ length: encoder.parts(event) }, (_, part) => ({
    key: take(() => encoder.key(event, part, out)),
    value: take(() => encoder.value(event, part, out)),
    headers: Object.fromEntries(
      encoder.headers(event, part).map(({ key, value }) => [key, value.toString('utf8')]),
    ),
  }));
}
