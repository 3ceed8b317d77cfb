import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { formatPosition } from '../../../src/events/position.ts';
import type { ElasticsearchClient } from '../client.ts';
import { readDocuments } from '../documents/complete-rows.ts';
import type { BatchPlan, OperationRef } from '../documents/plan.ts';

const PAGE_DOCUMENTS = 1000;

export interface ConflictInput {
  readonly client: ElasticsearchClient;
  readonly plan: BatchPlan;
  /** Operations that met a version at least as high. */
  readonly conflicts: readonly OperationRef[];
  /** The highest version this sink can have issued. */
  readonly issued: bigint;
  readonly signal: AbortSignal;
  readonly onConfirmed: (ref: OperationRef) => void;
}

/**
 * What is stored must be ours: applied before an answer was lost or a process ended, or superseded by a later event. Throws
 * E_FOREIGN_VERSION when it cannot be. A document that is not there was deleted later: only its tombstone conflicts.
 */
export async function confirmConflicts(input: ConflictInput): Promise<void> {
  const { client, plan, conflicts, issued, signal, onConfirmed } = input;
  for (let from = 0; from < conflicts.length; from += PAGE_DOCUMENTS) {
    const page = conflicts.slice(from, from + PAGE_DOCUMENTS);
    const wanted = page.map((ref) => ({
      _index: plan.route(ref).destination,
      _id: plan.id(ref),
      _source: false,
    }));
    const found = await readDocuments(client, wanted, signal);
    for (const [i, ref] of page.entries()) {
      const stored = found[i]?.version;
      if (stored !== undefined && stored > issued) throw foreignVersion(plan, ref, { stored, issued });
      onConfirmed(ref);
    }
  }
}

function foreignVersion(
  plan: BatchPlan,
  ref: OperationRef,
  { stored, issued }: { readonly stored: bigint; readonly issued: bigint },
): TailraceError {
  const { destination, relation } = plan.route(ref);
  return new TailraceError({
    code: 'E_FOREIGN_VERSION',
    message:
      `A document of ${destination} has version ${stored}. The event of ${relation.schema}.${relation.table} at ` +
      `${formatPosition(plan.position(ref))} has ${plan.version(ref)}, and this sink has issued nothing above ${issued}.`,
    fix: 'Something else writes to this index. Stop it, delete what it has written, and start again; or give the mapping an index of its own.',
  });
}
