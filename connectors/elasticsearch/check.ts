import type { CheckInput, Finding } from '../../src/delivery/sink.ts';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import { jsonOf, privilegesFor } from './answers.ts';
import { ElasticsearchClient } from './client.ts';
import { serverVersion } from './cluster.ts';
import type { ElasticsearchConfig, ElasticsearchMapping } from './config.ts';
import { createRoute, indexNameFor } from './documents/create-route.ts';
import { missingFields } from './mapping/index-setup.ts';
import { indexState } from './mapping/index-state.ts';
import { tableFields } from './mapping/table-fields.ts';

type Input = CheckInput<ElasticsearchConfig, ElasticsearchMapping>;

const NEEDED = ['read', 'write', 'manage'];

/** Connects and looks; changes nothing. */
export async function* checkElasticsearch(input: Input): AsyncGenerator<Finding> {
  let client: ElasticsearchClient;
  try {
    client = new ElasticsearchClient(input.config, input.context.baseDir);
  } catch (error) {
    yield failed(error);
    return;
  }
  try {
    yield* cluster(client, input);
    const indices: string[] = [];
    for (const table of input.tables) {
      const { name, findings } = await destination(client, input, table);
      if (name !== undefined) indices.push(name);
      yield* findings;
    }
    yield* sharedIndices(indices);
    yield* privileges(client, [input.config.positions_index, ...new Set(indices)], input.signal);
  } catch (error) {
    yield failed(error);
  } finally {
    await client.close();
  }
}

async function* cluster(client: ElasticsearchClient, { config, signal }: Input): AsyncGenerator<Finding> {
  const version = await serverVersion(client, signal);
  const name = version?.flavour === 'opensearch' ? 'OpenSearch' : 'Elasticsearch';
  yield {
    level: 'ok',
    about: version === undefined ? 'The cluster answers.' : `${name} ${version.number} answers.`,
  };
  const limit = await largestRequest(client, signal);
  if (limit !== undefined && config.bulk.bytes > limit) {
    yield {
      level: 'warning',
      about: `bulk.bytes (${config.bulk.bytes}) is above http.max_content_length of the cluster (${limit}).`,
      fix: `bulk: { bytes: ${Math.floor(limit / 2 / 1024)}KiB }`,
    };
  }
}

/** http.max_content_length, when this user may know. */
async function largestRequest(client: ElasticsearchClient, signal: AbortSignal): Promise<number | undefined> {
  const answer = await client.request({
    method: 'GET',
    path: '/_nodes/http',
    query: { filter_path: 'nodes.*.http.max_content_length_in_bytes' },
    signal,
  });
  if (answer.status !== 200) return undefined;
  const { nodes = {} } = jsonOf<{
    nodes?: Record<string, { http?: { max_content_length_in_bytes?: number } }>;
  }>(answer);
  const limits = Object.values(nodes).flatMap(({ http }) => http?.max_content_length_in_bytes ?? []);
  return limits.length === 0 ? undefined : Math.min(...limits);
}

async function destination(
  client: ElasticsearchClient,
  { context, signal }: Input,
  { mapping, relation }: Input['tables'][number],
): Promise<{ readonly name: string | undefined; readonly findings: readonly Finding[] }> {
  const table = `${relation.schema}.${relation.table}`;
  const { options } = mapping;
  let name: string | undefined;
  try {
    name = indexNameFor(options.index, relation, context);
    createRoute({ index: name, relation, idTemplate: options.id });
    const fields = tableFields(relation, options.mappings);
    const state = await indexState(client, name, signal);
    if (state === undefined) {
      return { name, findings: [{ level: 'ok', about: `${table}: the index ${name} will be created.` }] };
    }
    const missing = missingFields({ name, fields, options, table }, state);
    const added = missing.length === 0 ? '' : ` ${missing.length} fields will be added.`;
    return {
      name,
      findings: [{ level: 'ok', about: `${table}: the index ${name} has a fitting mapping.${added}` }],
    };
  } catch (error) {
    return { name, findings: [failed(error)] };
  }
}

function* sharedIndices(names: readonly string[]): Generator<Finding> {
  const shared = new Set(names.filter((name, i) => names.indexOf(name) !== i));
  for (const name of shared) {
    yield {
      level: 'error',
      about: `More than one mapping leads to the index ${name}.`,
      fix: 'Give each mapping an index of its own: { sink: ..., index: ... }.',
    };
  }
}

/** https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-security-has-privileges */
async function* privileges(
  client: ElasticsearchClient,
  names: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const answer = await client.request({
    method: 'POST',
    path: '/_security/user/_has_privileges',
    json: { index: [{ names, privileges: NEEDED }] },
    signal,
  });
  // Without security, and on OpenSearch, there is nobody to ask.
  if (answer.status !== 200) return;
  const { index } = jsonOf<{ index: Record<string, Record<string, boolean>> }>(answer);
  const lacking = names.filter((name) => NEEDED.some((privilege) => index[name]?.[privilege] !== true));
  yield lacking.length === 0
    ? { level: 'ok', about: 'The user has the privileges that are needed.' }
    : {
        level: 'error',
        about: `The user lacks privileges on ${lacking.join(', ')}.`,
        fix: privilegesFor(lacking),
      };
}

function failed(error: unknown): Finding {
  if (!(error instanceof TailraceError)) throw error;
  return { level: 'error', about: error.message, fix: error.fix };
}
