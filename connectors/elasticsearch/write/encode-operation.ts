import { ByteWriter } from '../../../src/events/byte-writer.ts';
import type { BulkBody } from '../bulk/bulk-body.ts';
import { completeWithinBatch, type IncompleteRow } from '../documents/complete-rows.ts';
import { type BatchPlan, type CarriedOperation, type OperationRef, pieceEnd } from '../documents/plan.ts';
import { DELETE, INDEX } from '../documents/route.ts';

/**
 * Appends an operation to a body. Answers the row when it lacks values that neither its event nor the batch has; a row that has no
 * form as a document is rejected in the plan. Nothing is appended then.
 */
export function encodeOperation(
  plan: BatchPlan,
  ref: OperationRef,
  body: BulkBody,
): IncompleteRow | undefined {
  if (ref < 0) return encodeCarried(plan, ref, body);
  if (plan.kind(ref) === DELETE) {
    begin(plan, ref, body);
    return undefined;
  }
  begin(plan, ref, body);
  const { event, route } = plan.batch.item(ref);
  const from = body.out.length;
  let partial: Buffer;
  let unchanged: readonly number[];
  try {
    const lacks = route.encoder.document(event, 'after', body.out);
    if (lacks === undefined) {
      body.end();
      return undefined;
    }
    ({ unchanged } = lacks);
    partial = body.out.copy(from);
    body.withdraw();
  } catch (error) {
    body.withdraw();
    plan.reject(ref, error);
    return undefined;
  }
  const row = completedWithinBatch(plan, ref, partial, unchanged);
  if (row === undefined || row.missing.length > 0) return row;
  appendDocument(plan, ref, row.document, body);
  return undefined;
}

/** Appends an index operation with a document that is there already. */
export function appendDocument(plan: BatchPlan, ref: OperationRef, document: Buffer, body: BulkBody): void {
  begin(plan, ref, body);
  body.out.bytes(document);
  body.end();
}

/** What has to wait for the next batch, encoded: this batch's bytes will be gone by then. */
export function carryOn(plan: BatchPlan): readonly CarriedOperation[] {
  return plan.carriedOn.flatMap((ref) => {
    if (ref < 0) return plan.carried[~ref] ?? [];
    const { event, route } = plan.batch.item(ref);
    const operation = {
      kind: plan.kind(ref),
      route,
      id: plan.id(ref),
      position: event.position,
      version: plan.version(ref),
      pieceEndSeq: pieceEnd(event),
      sourceId: plan.id(ref),
    };
    if (operation.kind !== INDEX) return { ...operation, document: undefined, missing: [] };
    const out = new ByteWriter(256);
    try {
      const lacks = route.encoder.document(event, 'after', out);
      if (lacks === undefined) return { ...operation, document: out.copy(), missing: [] };
      const row = completedWithinBatch(plan, ref, out.copy(), lacks.unchanged);
      if (row === undefined) return [];
      return { ...operation, document: row.document, missing: row.missing, sourceId: row.sourceId };
    } catch (error) {
      plan.reject(ref, error);
      return [];
    }
  });
}

function encodeCarried(plan: BatchPlan, ref: OperationRef, body: BulkBody): IncompleteRow | undefined {
  const { document, missing, sourceId } = plan.carried[~ref] as CarriedOperation;
  if (document === undefined) begin(plan, ref, body);
  else if (missing.length > 0) return { ref, document, missing, sourceId };
  else appendDocument(plan, ref, document, body);
  return undefined;
}

function completedWithinBatch(
  plan: BatchPlan,
  item: number,
  partial: Buffer,
  unchanged: readonly number[],
): IncompleteRow | undefined {
  const { columns } = plan.batch.item(item).route.relation;
  const missing = unchanged.map((i) => columns[i]?.name ?? '');
  try {
    return completeWithinBatch({ plan, item, partial, missing });
  } catch (error) {
    plan.reject(item, error);
    return undefined;
  }
}

function begin(plan: BatchPlan, ref: OperationRef, body: BulkBody): void {
  body.begin({
    ref,
    kind: plan.kind(ref) === DELETE ? DELETE : INDEX,
    route: plan.route(ref),
    id: plan.id(ref),
    version: plan.version(ref),
  });
}
