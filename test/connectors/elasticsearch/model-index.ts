import { BulkBody } from '../../../connectors/elasticsearch/bulk/bulk-body.ts';
import { BatchPlan, type CarriedOperation } from '../../../connectors/elasticsearch/documents/plan.ts';
import { type ElasticsearchRoute, TRUNCATE } from '../../../connectors/elasticsearch/documents/route.ts';
import { carryOn, encodeOperation } from '../../../connectors/elasticsearch/write/encode-operation.ts';
import type { SinkBatch } from '../../../src/delivery/sink.ts';
import { ByteWriter } from '../../../src/events/byte-writer.ts';

/** One operation of a bulk body, as Elasticsearch reads it. */
export interface BulkOperation {
  readonly action: 'index' | 'delete';
  readonly index: string;
  readonly id: string;
  readonly version: bigint;
  readonly source?: string | undefined;
}

export function readBulk(body: Buffer): readonly BulkOperation[] {
  const lines = body.toString().split('\n');
  if (lines.pop() !== '') throw new Error('A bulk body ends with a line break.');
  const operations: BulkOperation[] = [];
  for (let i = 0; i < lines.length; i++) {
    const line = JSON.parse(lines[i] as string) as Record<
      'index' | 'delete',
      { _index: string; _id: string; version: string; version_type: string } | undefined
    >;
    const action = line.index === undefined ? 'delete' : 'index';
    const meta = line.index ?? line.delete;
    if (meta?.version_type !== 'external') throw new Error(`Not an external version: ${lines[i]}`);
    operations.push({
      action,
      index: meta._index,
      id: meta._id,
      version: BigInt(meta.version),
      source: action === 'index' ? lines[++i] : undefined,
    });
  }
  return operations;
}

interface ModelDocument {
  readonly version: bigint;
  /** Undefined: deleted, the tombstone is still there. */
  readonly source: string | undefined;
}

/**
 * An index with external versions, tombstones included: what Elasticsearch does, in memory.
 * https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-index#external-versioning
 */
export class ModelIndex {
  readonly #documents = new Map<string, ModelDocument>();
  /** Everything ever sent with a version, to see that no version has two contents. */
  readonly #sent = new Map<string, string | undefined>();

  apply({ id, version, source }: Pick<BulkOperation, 'id' | 'version' | 'source'>): void {
    const key = `${id}@${version}`;
    if (this.#sent.has(key) && this.#sent.get(key) !== source) {
      throw new Error(`Two contents for ${key}: ${this.#sent.get(key)} and ${source}`);
    }
    this.#sent.set(key, source);
    const stored = this.#documents.get(id);
    if (stored === undefined || stored.version < version) this.#documents.set(id, { version, source });
  }

  truncate(version: bigint): void {
    for (const [id, stored] of this.#documents) {
      if (stored.source !== undefined && stored.version < version) {
        this.#documents.set(id, { version, source: undefined });
      }
    }
  }

  /** As if the tombstones had expired (index.gc_deletes). */
  forgetTombstones(): void {
    for (const [id, { source }] of this.#documents) if (source === undefined) this.#documents.delete(id);
  }

  get contents(): ReadonlyMap<string, string> {
    const contents = new Map<string, string>();
    for (const [id, { source }] of this.#documents) if (source !== undefined) contents.set(id, source);
    return contents;
  }
}

/**
 * Plans a batch and applies it; returns what it carries on. `shuffle` orders operations on different documents as it likes. One that
 * leaves some out stands for a crash: TRUNCATEs come when all else is done.
 */
export function applyBatch(
  index: ModelIndex,
  batch: SinkBatch<ElasticsearchRoute>,
  carried: readonly CarriedOperation[],
  shuffle: (operations: BulkOperation[]) => readonly BulkOperation[] = (operations) => operations,
): readonly CarriedOperation[] {
  const plan = new BatchPlan({ batch, carried });
  const next = carryOn(plan);
  const body = new BulkBody(new ByteWriter());
  const truncates: bigint[] = [];
  for (const ref of plan.operations()) {
    if (plan.kind(ref) === TRUNCATE) truncates.push(plan.version(ref));
    else encodeOperation(plan, ref, body);
  }
  const operations = [...readBulk(body.view())];
  const ids = operations.map(({ id }) => id);
  if (new Set(ids).size !== ids.length) throw new Error(`A document twice in one write: ${ids.join(', ')}`);
  const applied = shuffle(operations);
  for (const operation of applied) index.apply(operation);
  if (applied.length < ids.length) return next;
  for (const version of truncates) index.truncate(version);
  return next;
}
