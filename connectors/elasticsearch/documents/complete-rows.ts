import { ByteWriter } from '../../../src/events/byte-writer.ts';
import { refusal, serverError } from '../answers.ts';
import type { ElasticsearchClient } from '../client.ts';
import { jsonElements, jsonMembers } from './json-source.ts';
import { type BatchPlan, NONE, type OperationRef } from './plan.ts';
import { INDEX } from './route.ts';

/** Documents asked for at once: they are the large ones. */
const PAGE_DOCUMENTS = 100;

const CLOSE_BRACE = 0x7d;
const OPEN_BRACE = 0x7b;

/** A row some of whose values the update did not touch and the server did not send (TOAST). */
export interface IncompleteRow {
  readonly ref: OperationRef;
  /** The document without these columns. */
  readonly document: Buffer;
  readonly missing: readonly string[];
  /** The document of the index that has them. */
  readonly sourceId: string;
}

/**
 * What became of an incomplete row.
 * - superseded: a version at least as high is stored.
 * - absent: there is no document to take the values from.
 * - lacking: there is one, without the values.
 */
export type Completion =
  | { readonly outcome: 'complete'; readonly document: Buffer }
  | { readonly outcome: 'superseded' }
  | { readonly outcome: 'absent' | 'lacking'; readonly missing: readonly string[] };

/** Fills in what earlier operations of the same batch tell, from the newest to the oldest. Pure. */
export function completeWithinBatch(input: {
  readonly plan: BatchPlan;
  readonly item: number;
  readonly partial: Buffer;
  readonly missing: readonly string[];
}): IncompleteRow {
  const { plan, item, partial, missing } = input;
  const found = new Map<string, Buffer>();
  const scratch = new ByteWriter(1024);
  let open = missing;
  let at = item;
  while (open.length > 0) {
    const before = plan.predecessor(at);
    if (before === NONE || plan.kind(before) !== INDEX) break;
    let document: Buffer;
    if (before < 0) document = plan.carried[~before]?.document ?? Buffer.from('{}');
    else {
      scratch.reset();
      const { event, route } = plan.batch.item(before);
      route.encoder.document(event, 'after', scratch);
      document = scratch.copy();
    }
    const members = jsonMembers(document);
    for (const name of open) {
      const value = members.get(name);
      if (value !== undefined) found.set(name, value);
    }
    open = open.filter((name) => !found.has(name));
    if (before < 0) break;
    at = before;
  }
  return { ref: item, document: merge(partial, found), missing: open, sourceId: plan.rootId(item) };
}

/** Fills in what the index holds: a realtime read of the documents themselves, without any search. */
export async function completeFromIndex(
  input: {
    readonly client: ElasticsearchClient;
    readonly plan: BatchPlan;
    readonly rows: readonly IncompleteRow[];
    readonly signal: AbortSignal;
  },
  take: (row: IncompleteRow, completion: Completion) => Promise<void>,
): Promise<void> {
  const { client, plan, rows, signal } = input;
  for (let from = 0; from < rows.length; from += PAGE_DOCUMENTS) {
    const page = rows.slice(from, from + PAGE_DOCUMENTS);
    const wanted = page.flatMap((row) => {
      const index = plan.route(row.ref).destination;
      return [
        { _index: index, _id: row.sourceId },
        { _index: index, _id: plan.id(row.ref), _source: false },
      ];
    });
    const found = await readDocuments(client, wanted, signal);
    for (const [i, row] of page.entries()) {
      const source = found[2 * i];
      const own = found[2 * i + 1];
      await take(row, completionOf(row, plan.version(row.ref), source, own));
    }
  }
}

function completionOf(
  row: IncompleteRow,
  version: bigint,
  source: StoredDocument | undefined,
  own: StoredDocument | undefined,
): Completion {
  if (own !== undefined && own.version >= version) return { outcome: 'superseded' };
  // What is newer than the update is not the row that it continues.
  if (source === undefined || source.version >= version) return { outcome: 'absent', missing: row.missing };
  const members = jsonMembers(source.source ?? EMPTY);
  const values = new Map<string, Buffer>();
  for (const name of row.missing) {
    const value = members.get(name);
    if (value !== undefined) values.set(name, value);
  }
  const missing = row.missing.filter((name) => !values.has(name));
  if (missing.length > 0) return { outcome: 'lacking', missing };
  return { outcome: 'complete', document: merge(row.document, values) };
}

const EMPTY = Buffer.from('{}');

export interface StoredDocument {
  readonly version: bigint;
  /** As it was sent, byte by byte. */
  readonly source: Buffer | undefined;
}

export interface WantedDocument {
  readonly _index: string;
  readonly _id: string;
  readonly _source?: boolean | undefined;
}

/** The newest state of documents, refreshed or not; undefined for what is not there. */
export async function readDocuments(
  client: ElasticsearchClient,
  wanted: readonly WantedDocument[],
  signal: AbortSignal,
): Promise<readonly (StoredDocument | undefined)[]> {
  const indices = [...new Set(wanted.map(({ _index }) => _index))];
  const refused = (status: number, error: { type: string; reason: string }): Error =>
    refusal({ status, error, doing: `read documents of ${indices.join(', ')}`, indices });
  const answer = await client.request({ method: 'POST', path: '/_mget', json: { docs: wanted }, signal });
  if (answer.status !== 200) throw refused(answer.status, serverError(answer));
  const documents = jsonElements(jsonMembers(Buffer.from(answer.text)).get('docs') ?? Buffer.from('[]'));
  return documents.map((document) => {
    const members = jsonMembers(document);
    const error = members.get('error');
    if (error !== undefined) {
      const { type } = JSON.parse(error.toString()) as { type: string };
      throw refused(type === 'index_not_found_exception' ? 404 : 503, { type, reason: '' });
    }
    if (members.get('found')?.toString() !== 'true') return undefined;
    return { version: BigInt(members.get('_version')?.toString() ?? '-1'), source: members.get('_source') };
  });
}

/** The object with more members: no value is parsed or written anew. */
function merge(object: Buffer, members: ReadonlyMap<string, Buffer>): Buffer {
  if (members.size === 0) return object;
  const out = new ByteWriter(object.length + 64);
  out.bytes(object, 0, object.length - 1);
  let first = object[object.length - 2] === OPEN_BRACE && object.length === 2;
  for (const [name, value] of members) {
    if (!first) out.ascii(',');
    first = false;
    out.utf8(JSON.stringify(name));
    out.ascii(':');
    out.bytes(value);
  }
  out.byte(CLOSE_BRACE);
  return out.copy();
}
