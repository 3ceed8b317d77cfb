import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { jsonOf, refusal, serverError } from '../answers.ts';
import type { ElasticsearchClient } from '../client.ts';
import type { ElasticsearchMapping } from '../config.ts';
import type { FieldDefinition } from './column-field.ts';
import { fieldConflict } from './compatibility.ts';
import { type IndexState, indexState } from './index-state.ts';
import { countFields, existingField, propertiesOf, type TableField } from './table-fields.ts';

const LEAST_FIELD_LIMIT = 1000;
/** Room for columns to come, in proportion. */
const FIELD_HEADROOM = 1.5;

export interface IndexPlan {
  readonly name: string;
  readonly fields: readonly TableField[];
  readonly options: Pick<ElasticsearchMapping, 'settings' | 'dynamic'>;
  /** The table, for messages. */
  readonly table: string;
}

/** Creates the index with an explicit mapping. Answers its state, also when somebody else was quicker. */
export async function createIndex(
  client: ElasticsearchClient,
  plan: IndexPlan,
  signal: AbortSignal,
): Promise<IndexState> {
  const { name, fields, options } = plan;
  const properties = propertiesOf(fields);
  const answer = await client.request({
    method: 'PUT',
    path: `/${encodeURIComponent(name)}`,
    json: {
      settings: { 'index.mapping.total_fields.limit': fieldLimitFor({ properties }), ...options.settings },
      mappings: { dynamic: options.dynamic, properties },
    },
    signal,
  });
  const error = answer.status === 200 ? undefined : serverError(answer);
  if (error !== undefined && error.type !== 'resource_already_exists_exception') {
    throw refusal({
      status: answer.status,
      error,
      doing: `create the index ${name}`,
      indices: [name],
      harmless: true,
    });
  }
  const state = await indexState(client, name, signal);
  if (state !== undefined) return state;
  throw new TailraceError({
    code: 'E_SINK_UNAVAILABLE',
    message: `The index ${name} was created and is not there.`,
    retriable: true,
  });
}

/** Fields of the plan that the index lacks. Throws E_SINK_CONFIG when one it has cannot hold its column. */
export function missingFields(plan: IndexPlan, state: IndexState): readonly TableField[] {
  const missing: TableField[] = [];
  for (const field of plan.fields) {
    const existing = existingField(state.mapping, field.name);
    if (existing === undefined) {
      missing.push(field);
      continue;
    }
    const conflict = fieldConflict({
      field: field.name,
      family: field.family,
      existing,
      wanted: field.definition,
      explicit: field.explicit,
    });
    if (conflict === undefined) continue;
    throw new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `Field ${conflict.field} of the index ${plan.name} is of type ${conflict.has}; column ${field.name} of ${plan.table} needs ${conflict.needs}.`,
      fix:
        'Choose another index in the mapping; or reindex into one with the right mapping (POST /_reindex with "version_type": "external" ' +
        'in "dest") and let an alias lead to it.',
    });
  }
  return missing;
}

/** Adds fields to an index that lacks them. */
export async function addFields(
  client: ElasticsearchClient,
  input: { readonly plan: IndexPlan; readonly state: IndexState; readonly fields: readonly TableField[] },
  signal: AbortSignal,
): Promise<void> {
  const { plan, state, fields } = input;
  if (fields.length === 0) return;
  const properties = propertiesOf(fields);
  const needed = countFields(state.mapping) + countFields({ properties });
  const call = async (path: string, json: object): Promise<void> => {
    const answer = await client.request({ method: 'PUT', path, json, signal });
    if (answer.status === 200 && jsonOf<{ acknowledged: boolean }>(answer).acknowledged) return;
    throw refusal({
      status: answer.status,
      error: serverError(answer),
      doing: `add fields to the index ${plan.name}`,
      indices: [plan.name],
      harmless: true,
    });
  };
  const path = `/${encodeURIComponent(state.concreteName)}`;
  if (needed > state.fieldLimit) {
    await call(`${path}/_settings`, {
      'index.mapping.total_fields.limit': Math.ceil(needed * FIELD_HEADROOM),
    });
  }
  await call(`${path}/_mapping`, { properties });
}

function fieldLimitFor(definition: FieldDefinition): number {
  return Math.max(LEAST_FIELD_LIMIT, Math.ceil(countFields(definition) * FIELD_HEADROOM));
}

/** Documents in the index, as of now. */
export async function countDocuments(
  client: ElasticsearchClient,
  index: string,
  signal: AbortSignal,
): Promise<number> {
  const path = `/${encodeURIComponent(index)}`;
  const refresh = await client.request({ method: 'POST', path: `${path}/_refresh`, signal });
  const answer =
    refresh.status === 200
      ? await client.request({ method: 'GET', path: `${path}/_count`, signal })
      : refresh;
  if (answer.status === 200) return jsonOf<{ count: number }>(answer).count;
  throw refusal({
    status: answer.status,
    error: serverError(answer),
    doing: `count the documents of ${index}`,
    indices: [index],
  });
}
