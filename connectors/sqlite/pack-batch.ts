import type { Rejection, Route, SinkBatch } from '../../src/delivery/sink.ts';
import type { ByteWriter } from '../../src/events/byte-writer.ts';
import type { EventView, Side } from '../../src/events/change-event.ts';
import { LENGTH_ABSENT, LENGTH_NULL, OPERATION, packItem, packLength } from './packed-batch.ts';

/** A mapping made concrete for one relation version. */
export interface SqliteRoute extends Route {
  /** The number the worker knows the mirror's definition by. */
  readonly mirror: number;
  /** Indices into the relation: the mirror's columns, and those of its key (empty: rows are matched whole). */
  readonly columns: readonly number[];
  readonly key: readonly number[];
  /** Old images are whole rows. */
  readonly wholeImages: boolean;
}

/** Writes the batch's items for the worker; what no mirror can hold comes back as rejections. */
export function packBatch(batch: SinkBatch<SqliteRoute>, out: ByteWriter): Rejection[] {
  const rejected: Rejection[] = [];
  for (let i = 0; i < batch.count; i++) {
    const { event, route } = batch.item(i);
    const start = out.length;
    if (packEvent(event, route, out)) continue;
    out.length = start;
    rejected.push({
      item: i,
      reason: 'key_missing',
      detail: `the ${event.op} does not carry the old values that name its row in the mirror`,
    });
  }
  return rejected;
}

function packEvent(event: EventView, route: SqliteRoute, out: ByteWriter): boolean {
  const { mirror, columns, key } = route;
  const keyed = key.length > 0;
  switch (event.op) {
    case 'read':
      packItem(out, keyed ? OPERATION.upsert : OPERATION.insert, mirror);
      packTuple(event, 'after', columns, out);
      return true;
    case 'insert':
      packItem(out, keyed && !route.wholeImages ? OPERATION.upsert : OPERATION.insert, mirror);
      packTuple(event, 'after', columns, out);
      return true;
    case 'update': {
      if (!keyed) {
        packItem(out, OPERATION.replace, mirror);
        if (!packNames(event, columns, out)) return false;
      } else if (moves(event, key)) {
        packItem(out, OPERATION.move, mirror);
        if (!packNames(event, key, out)) return false;
      } else {
        packItem(out, OPERATION.update, mirror);
      }
      packTuple(event, 'after', columns, out);
      return true;
    }
    case 'delete':
      packItem(out, keyed ? OPERATION.delete : OPERATION.remove, mirror);
      return packNames(event, keyed ? key : columns, out);
    case 'truncate':
      packItem(out, OPERATION.truncate, mirror);
      return true;
    case 'message':
      throw new RangeError('A message is in no table: it has no parts here.');
  }
}

/** The mirror's key need not be the event's: it may be the replica identity's. */
function moves(event: EventView, key: readonly number[]): boolean {
  if (event.beforeImage === 'none') return false;
  for (const i of key) {
    if (event.column('before', i) !== 'value') continue;
    const { bytes, start, end } = event;
    if (event.column('after', i) !== 'value') continue;
    if (end - start !== event.end - event.start) return true;
    if (bytes.compare(event.bytes, event.start, event.end, start, end) !== 0) return true;
  }
  return false;
}

function packTuple(event: EventView, side: Side, columns: readonly number[], out: ByteWriter): void {
  for (const i of columns) {
    const state = event.column(side, i);
    if (state === 'value') {
      packLength(out, event.end - event.start);
      out.bytes(event.bytes, event.start, event.end);
    } else {
      packLength(out, state === 'null' ? LENGTH_NULL : LENGTH_ABSENT);
    }
  }
}

/** The old values by which a row is found; false when one is not in the event. */
function packNames(event: EventView, columns: readonly number[], out: ByteWriter): boolean {
  for (const i of columns) {
    const state = event.column('before', i);
    if (state === 'value') {
      packLength(out, event.end - event.start);
      out.bytes(event.bytes, event.start, event.end);
    } else if (state === 'null') {
      packLength(out, LENGTH_NULL);
    } else {
      return false;
    }
  }
  return true;
}
