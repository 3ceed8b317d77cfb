import { refusalOf } from '../events/formats/ndjson.ts';
import type { Rejection, Route, SinkBatch, SinkItem } from './sink.ts';

/** Writes each item of a batch; returns those that no encoder can express. Every other error is thrown. */
export function writeItems<R extends Route>(
  batch: SinkBatch<R>,
  write: (item: SinkItem<R>) => void,
): Rejection[] {
  const rejected: Rejection[] = [];
  for (let i = 0; i < batch.count; i++) {
    try {
      write(batch.item(i));
    } catch (thrown) {
      const refusal = refusalOf(thrown);
      if (refusal === undefined) throw thrown;
      rejected.push({ item: i, ...refusal });
    }
  }
  return rejected;
}
