import { refusal, serverError } from '../answers.ts';
import type { Answer, ElasticsearchClient, Request } from '../client.ts';
import { jsonElements, jsonMembers } from './json-source.ts';

const PAGE_DOCUMENTS = 2000;
const KEEP_ALIVE = '5m';

/** Elasticsearch and OpenSearch differ in where a point in time is opened. */
export type Flavour = 'elasticsearch' | 'opensearch';

export interface ScanOptions {
  readonly client: ElasticsearchClient;
  readonly flavour: Flavour;
  readonly index: string;
  readonly signal: AbortSignal;
}

export interface FoundDocument {
  readonly id: string;
  readonly version: bigint;
}

/**
 * Every document of an index, by pages, as it is at the time of the call: a refresh makes all that is written visible, a point in time
 * keeps it still. https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results
 */
export async function* scanVersions(options: ScanOptions): AsyncGenerator<readonly FoundDocument[]> {
  await call(options, { method: 'POST', path: `/${encodeURIComponent(options.index)}/_refresh` });
  let pit = await openPointInTime(options);
  try {
    let after: unknown;
    for (;;) {
      const answer = await call(options, {
        method: 'POST',
        path: '/_search',
        json: {
          size: PAGE_DOCUMENTS,
          _source: false,
          version: true,
          track_total_hits: false,
          pit: { id: pit, keep_alive: KEEP_ALIVE },
          sort: [{ _shard_doc: 'asc' }],
          ...(after === undefined ? {} : { search_after: after }),
        },
      });
      const members = jsonMembers(Buffer.from(answer.text));
      pit = JSON.parse(members.get('pit_id')?.toString() ?? JSON.stringify(pit)) as string;
      const hits = jsonElements(jsonMembers(members.get('hits') ?? EMPTY_HITS).get('hits') ?? EMPTY);
      if (hits.length === 0) return;
      const found = hits.map(jsonMembers);
      yield found.map(documentOf);
      after = JSON.parse(found.at(-1)?.get('sort')?.toString() ?? 'null');
    }
  } finally {
    await closePointInTime(options, pit);
  }
}

const EMPTY = Buffer.from('[]');
const EMPTY_HITS = Buffer.from('{}');

/** Versions exceed what a JSON number becomes in JavaScript: read from the source. */
export function documentOf(members: Map<string, Buffer>): FoundDocument {
  return {
    id: JSON.parse(members.get('_id')?.toString() ?? '""') as string,
    version: BigInt(members.get('_version')?.toString() ?? '-1'),
  };
}

async function openPointInTime(options: ScanOptions): Promise<string> {
  const index = encodeURIComponent(options.index);
  const path = options.flavour === 'opensearch' ? `/${index}/_search/point_in_time` : `/${index}/_pit`;
  const answer = await call(options, { method: 'POST', path, query: { keep_alive: KEEP_ALIVE } });
  const { id, pit_id } = JSON.parse(answer.text) as { id?: string; pit_id?: string };
  return id ?? pit_id ?? '';
}

/** Best effort: the server forgets it by itself. */
async function closePointInTime({ client, flavour }: ScanOptions, pit: string): Promise<void> {
  const request =
    flavour === 'opensearch'
      ? { path: '/_search/point_in_time', json: { pit_id: [pit] } }
      : { path: '/_pit', json: { id: pit } };
  await client.request({ method: 'DELETE', ...request }).catch(() => {});
}

async function call({ client, index, signal }: ScanOptions, request: Request): Promise<Answer> {
  const answer = await client.request({ ...request, signal });
  if (answer.status === 200) return answer;
  throw refusal({
    status: answer.status,
    error: serverError(answer),
    doing: `list the documents of ${index}`,
    indices: [index],
  });
}
