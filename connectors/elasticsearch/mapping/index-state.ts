import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { jsonOf, refusal, serverError } from '../answers.ts';
import type { ElasticsearchClient } from '../client.ts';
import type { FieldDefinition } from './column-field.ts';

/** An index as it is on the server. */
export interface IndexState {
  /** Another name than asked for when that is an alias. */
  readonly concreteName: string;
  readonly isAlias: boolean;
  readonly uuid: string;
  readonly mapping: FieldDefinition;
  /** index.mapping.total_fields.limit */
  readonly fieldLimit: number;
}

const DEFAULT_FIELD_LIMIT = 1000;

interface IndexAnswer {
  readonly mappings: FieldDefinition & { readonly _source?: { readonly enabled?: boolean } };
  readonly data_stream?: string;
  readonly settings: {
    readonly index: {
      readonly uuid: string;
      readonly verified_before_close?: string | boolean;
      readonly mapping?: {
        readonly total_fields?: { readonly limit?: string };
        readonly source?: { readonly mode?: string };
      };
    };
  };
}

/** Undefined when there is no such index. Throws E_SINK_CONFIG for what rows cannot be written to. */
export async function indexState(
  client: ElasticsearchClient,
  name: string,
  signal: AbortSignal,
): Promise<IndexState | undefined> {
  const answer = await client.request({ method: 'GET', path: `/${encodeURIComponent(name)}`, signal });
  if (answer.status === 404) return undefined;
  if (answer.status !== 200) {
    throw refusal({
      status: answer.status,
      error: serverError(answer),
      doing: `look at the index ${name}`,
      indices: [name],
      harmless: true,
    });
  }
  const found = Object.entries(jsonOf<Record<string, IndexAnswer>>(answer));
  const [entry] = found;
  if (entry === undefined) return undefined;
  const [concreteName, { mappings, settings, data_stream }] = entry;
  const problem = (what: string, fix: string): TailraceError =>
    new TailraceError({ code: 'E_SINK_CONFIG', message: `${name} ${what}.`, fix });
  if (data_stream !== undefined) {
    throw problem('is a data stream, which only ever appends', 'Give the mapping another index.');
  }
  if (found.length > 1) {
    throw problem(
      `is an alias of ${found.length} indices (${found.map(([each]) => each).join(', ')})`,
      'Let the alias lead to one index, or name the index itself.',
    );
  }
  if (String(settings.index.verified_before_close) === 'true') {
    throw problem('is closed', `POST /${concreteName}/_open`);
  }
  const sourceMode = settings.index.mapping?.source?.mode;
  if (mappings._source?.enabled === false || (sourceMode !== undefined && sourceMode !== 'stored')) {
    throw problem(
      'does not store documents as they are sent (_source)',
      'Unchanged large values of a row are taken from its document: use an index with a stored _source.',
    );
  }
  return {
    concreteName,
    isAlias: concreteName !== name,
    uuid: settings.index.uuid,
    mapping: mappings,
    fieldLimit: Number(settings.index.mapping?.total_fields?.limit ?? DEFAULT_FIELD_LIMIT),
  };
}

/** A request line has at most 4096 bytes (http.max_initial_line_length). */
const MAX_NAMES_BYTES = 3000;

/** UUIDs of those of the indices (or aliases) that are there. */
export async function indexUuids(
  client: ElasticsearchClient,
  names: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const uuids = new Set<string>();
  for (const path of pathParts(names)) {
    const answer = await client.request({
      method: 'GET',
      path: `/${path}/_settings/index.uuid`,
      query: { ignore_unavailable: true },
      signal,
    });
    if (answer.status !== 200) {
      throw refusal({
        status: answer.status,
        error: serverError(answer),
        doing: `look at the indices ${names.join(', ')}`,
        indices: names,
        harmless: true,
      });
    }
    const found = jsonOf<Record<string, { settings: { index: { uuid: string } } }>>(answer);
    for (const { settings } of Object.values(found)) uuids.add(settings.index.uuid);
  }
  return uuids;
}

/** Index names joined by commas, in as many parts as request lines need. */
export function pathParts(names: readonly string[]): readonly string[] {
  const parts: string[] = [];
  for (const name of names.map(encodeURIComponent)) {
    const last = parts.at(-1);
    if (last === undefined || last.length + name.length >= MAX_NAMES_BYTES) parts.push(name);
    else parts[parts.length - 1] = `${last},${name}`;
  }
  return parts;
}
