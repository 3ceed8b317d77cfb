import { isTransient, type ServerError } from '../answers.ts';
import { DELETE, type OperationKind } from '../documents/route.ts';

/** Only what is looked at: the answer to a bulk of 5000 shrinks from 1 MB to 100 kB. */
export const BULK_FILTER = 'errors,items.*.status,items.*.error.type,items.*.error.reason';

const NO_ERRORS = /^\s*\{\s*"errors"\s*:\s*false/;

/** The outcome of one operation of a bulk request. */
export interface ItemAnswer {
  readonly status: number;
  readonly error?: ServerError | undefined;
}

/**
 * One answer per operation, in the order of the request; undefined when all succeeded, which is seen without parsing them.
 * Throws SyntaxError for an answer cut off.
 */
export function bulkItems(text: string): readonly ItemAnswer[] | undefined {
  if (NO_ERRORS.test(text)) return undefined;
  const { items } = JSON.parse(text) as {
    items: readonly Readonly<
      Record<string, { status: number; error?: { type?: string; reason?: string } | string }>
    >[];
  };
  return items.map((item) => {
    const { status, error } = Object.values(item)[0] as (typeof item)[string];
    if (error === undefined) return { status };
    if (typeof error === 'string') return { status, error: { type: error, reason: '' } };
    return { status, error: { type: error.type ?? `status ${status}`, reason: error.reason ?? '' } };
  });
}

/**
 * - done: the document is as the operation wants it.
 * - conflict: a version at least as high is stored: applied before, or superseded.
 * - throttled, unavailable: try again.
 * - blocked: the index takes no writes for now (disk full, or by hand).
 * - refused: wrong for every document of the index: missing, closed, no privilege.
 * - rejected: this document can never be indexed.
 */
export type ItemOutcome =
  | 'done'
  | 'conflict'
  | 'throttled'
  | 'unavailable'
  | 'blocked'
  | 'refused'
  | 'rejected';

export function outcomeOf(kind: OperationKind, { status, error }: ItemAnswer): ItemOutcome {
  if (error === undefined) {
    if (status >= 200 && status < 300) return 'done';
    // The document to delete is not there: it is as gone as it should be.
    if (status === 404 && kind === DELETE) return 'done';
  }
  if (error?.type === 'cluster_block_exception') return 'blocked';
  if (status === 409) return 'conflict';
  if (status === 429) return 'throttled';
  if (isTransient(status)) return 'unavailable';
  if (status === 401 || status === 403 || status === 404) return 'refused';
  if (error?.type === 'index_closed_exception') return 'refused';
  return 'rejected';
}
