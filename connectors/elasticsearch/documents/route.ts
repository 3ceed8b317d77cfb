import type { Route } from '../../../src/delivery/sink.ts';
import type { EventView, Side } from '../../../src/events/change-event.ts';
import type { DocumentEncoder } from '../../../src/events/formats/contract.ts';
import type { Relation } from '../../../src/events/relation.ts';

/** What is done to an index for one item of an event. */
export const INDEX = 1;
export const DELETE = 2;
export const TRUNCATE = 3;
export type OperationKind = typeof INDEX | typeof DELETE | typeof TRUNCATE;

/** Rows of one relation version as documents of one index. */
export interface ElasticsearchRoute extends Route {
  /** Index, or alias of one. */
  readonly destination: string;
  readonly relation: Relation;
  /** Ids are printable ASCII without quotes and backslashes: written as they are. */
  readonly plainIds: boolean;
  readonly encoder: DocumentEncoder;
  /** Throws E_UNSUPPORTED_ROW when the row has no id on that side. */
  idOf(event: EventView, side: Side): string;
}

/** One item: insert, read and update write the new row; an update that moves a row to another id deletes the old one first. */
export function kindOf(route: ElasticsearchRoute, event: EventView, part: number): OperationKind {
  switch (event.op) {
    case 'truncate':
      return TRUNCATE;
    case 'delete':
      return DELETE;
    case 'update':
      return part === 0 && route.parts(event) === 2 ? DELETE : INDEX;
    default:
      return INDEX;
  }
}
