import { jsonOf, refusal, serverError } from '../answers.ts';
import type { ElasticsearchClient } from '../client.ts';

const keyword = { type: 'keyword', ignore_above: 1024 };

/** Only what people look for is indexed; the document itself is read by its id. */
const DEFINITION = {
  settings: { number_of_shards: 1, auto_expand_replicas: '0-1' },
  mappings: {
    dynamic: false,
    properties: {
      pipeline: keyword,
      sink: keyword,
      source: keyword,
      updated_at: { type: 'date' },
      indices: { properties: { name: keyword, table: keyword } },
    },
  },
};

export async function ensurePositionsIndex(
  client: ElasticsearchClient,
  index: string,
  signal: AbortSignal,
): Promise<void> {
  const path = `/${encodeURIComponent(index)}`;
  const found = await client.request({ method: 'HEAD', path, signal });
  if (found.status === 200) return;
  if (found.status !== 404) {
    // HEAD has no body to explain itself.
    const answer = await client.request({ method: 'GET', path, signal });
    throw refusal({
      status: answer.status,
      error: serverError(answer),
      doing: `look for the index ${index}`,
      indices: [index],
      harmless: true,
    });
  }
  const answer = await client.request({ method: 'PUT', path, json: DEFINITION, signal });
  if (answer.status === 200) return;
  const error = serverError(answer);
  // Another sink was quicker.
  if (error.type === 'resource_already_exists_exception') return;
  throw refusal({
    status: answer.status,
    error,
    doing: `create the index ${index}`,
    indices: [index],
    harmless: true,
  });
}

export interface IndexOwner {
  readonly pipeline: string;
  readonly sink: string;
  readonly table: string;
}

/** The other sink that writes to an index, if any. */
export async function ownerOf(
  client: ElasticsearchClient,
  positionsIndex: string,
  wanted: { readonly index: string; readonly pipeline: string; readonly sink: string },
  signal: AbortSignal,
): Promise<IndexOwner | undefined> {
  const path = `/${encodeURIComponent(positionsIndex)}`;
  const refresh = await client.request({ method: 'POST', path: `${path}/_refresh`, signal });
  const answer =
    refresh.status === 200
      ? await client.request({
          method: 'POST',
          path: `${path}/_search`,
          json: { size: 10, query: { term: { 'indices.name': wanted.index } } },
          signal,
        })
      : refresh;
  if (answer.status !== 200) {
    throw refusal({
      status: answer.status,
      error: serverError(answer),
      doing: `search ${positionsIndex}`,
      indices: [positionsIndex],
    });
  }
  const { hits } = jsonOf<{
    hits: {
      hits: {
        _source: { pipeline: string; sink: string; indices: { name: string; table: string }[] };
      }[];
    };
  }>(answer);
  for (const { _source: owner } of hits.hits) {
    if (owner.pipeline === wanted.pipeline && owner.sink === wanted.sink) continue;
    const table = owner.indices.find(({ name }) => name === wanted.index)?.table ?? '';
    return { pipeline: owner.pipeline, sink: owner.sink, table };
  }
  return undefined;
}
