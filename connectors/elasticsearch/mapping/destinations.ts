import type { Mapping } from '../../../src/delivery/sink.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { Relation } from '../../../src/events/relation.ts';
import type { Logger } from '../../../src/observe/logger.ts';
import type { ElasticsearchClient } from '../client.ts';
import type { ElasticsearchMapping } from '../config.ts';
import { createRoute, indexNameFor } from '../documents/create-route.ts';
import type { ElasticsearchRoute } from '../documents/route.ts';
import type { PositionDocument } from '../position/position-document.ts';
import { ownerOf } from '../position/positions-index.ts';
import { addFields, countDocuments, createIndex, type IndexPlan, missingFields } from './index-setup.ts';
import { type IndexState, indexState, indexUuids } from './index-state.ts';
import { tableFields } from './table-fields.ts';

export interface DestinationsOptions {
  readonly client: ElasticsearchClient;
  readonly position: PositionDocument;
  readonly logger: Logger;
  readonly pipeline: string;
  readonly sink: string;
  readonly database: string;
  readonly positionsIndex: string;
}

interface User {
  readonly mapping: Mapping<ElasticsearchMapping>;
  readonly relation: Relation;
}

/** The indices of one sink: made, claimed in the position document, and watched. */
export class Destinations {
  readonly #options: DestinationsOptions;
  /** Who writes to an index, by its name. */
  readonly #users = new Map<string, User>();
  /** Written to since the last look. */
  readonly #touched = new Set<string>();

  constructor(options: DestinationsOptions) {
    this.#options = options;
  }

  async prepare(
    mapping: Mapping<ElasticsearchMapping>,
    relation: Relation,
    signal: AbortSignal,
  ): Promise<ElasticsearchRoute> {
    const { options } = mapping;
    const name = indexNameFor(options.index, relation, this.#options);
    const route = createRoute({ index: name, relation, idTemplate: options.id });
    this.#requireAlone(name, { mapping, relation });
    const plan: IndexPlan = {
      name,
      table: `${relation.schema}.${relation.table}`,
      fields: tableFields(relation, options.mappings),
      options,
    };
    const state = await this.#look(plan, relation, signal);
    const missing = missingFields(plan, state);
    await this.#claim(plan, { state, relation }, signal);
    await addFields(this.#options.client, { plan, state, fields: missing }, signal);
    this.#users.set(name, { mapping, relation });
    return route;
  }

  touched(index: string): void {
    this.#touched.add(index);
  }

  /** Throws E_SINK_CONFIG when an index was deleted since: a write would have made another one of its name, without a mapping. */
  async verify(signal: AbortSignal): Promise<void> {
    if (this.#touched.size === 0) return;
    const { client, position } = this.#options;
    const there = await indexUuids(client, [...this.#touched], signal);
    const lost = position.indices.find(({ name, uuid }) => this.#touched.has(name) && !there.has(uuid));
    if (lost !== undefined) throw gone(lost.name, 'was deleted while it was written to');
    this.#touched.clear();
  }

  /** The index, made if need be, once it is certain that it is ours or can be. */
  async #look(plan: IndexPlan, relation: Relation, signal: AbortSignal): Promise<IndexState> {
    const { client, position } = this.#options;
    const owned = position.indices.find(({ name }) => name === plan.name);
    let state = await indexState(client, plan.name, signal);
    if (state === undefined) {
      // Without a checkpoint everything is delivered anyway.
      if (owned !== undefined && position.checkpoint !== undefined) throw gone(plan.name, 'is gone');
      state = await createIndex(client, plan, signal);
    }
    const replaced = owned !== undefined && owned.uuid !== state.uuid;
    if (owned === undefined || (replaced && position.checkpoint === undefined)) {
      await this.#requireFree(plan, signal);
    } else if (replaced) await this.#requireCopy(plan, state, signal);
    else if (owned.table !== plan.table && owned.oid !== relation.oid) {
      if ((await countDocuments(client, plan.name, signal)) > 0) {
        throw foreign(plan, `it holds rows of ${owned.table}`);
      }
    }
    return state;
  }

  /** Says in the position document that the index is ours, before the first write. */
  async #claim(
    plan: IndexPlan,
    { state, relation }: { readonly state: IndexState; readonly relation: Relation },
    signal: AbortSignal,
  ): Promise<void> {
    const { position } = this.#options;
    const wanted = { name: plan.name, uuid: state.uuid, table: plan.table, oid: relation.oid };
    const owned = position.indices.find(({ name }) => name === plan.name);
    if (owned?.uuid === wanted.uuid && owned.table === wanted.table && owned.oid === wanted.oid) return;
    await position.own(wanted, signal);
  }

  /** An index that is not ours yet must be empty and nobody else's. */
  async #requireFree(plan: IndexPlan, signal: AbortSignal): Promise<void> {
    const { client, positionsIndex, pipeline, sink } = this.#options;
    const owner = await ownerOf(client, positionsIndex, { index: plan.name, pipeline, sink }, signal);
    if (owner !== undefined) {
      const id = encodeURIComponent(`${owner.pipeline}/${owner.sink}`);
      throw foreign(
        plan,
        `${owner.pipeline}/${owner.sink} writes ${owner.table} to it`,
        `Choose another index in the mapping; or, when that sink is no more: DELETE /${positionsIndex}/_doc/${id}`,
      );
    }
    const count = await countDocuments(client, plan.name, signal);
    if (count > 0) throw foreign(plan, `it holds ${count} documents, and this sink has never written to it`);
  }

  /** Behind an alias an index may be replaced by a copy of it; anything else has lost what was written. */
  async #requireCopy(plan: IndexPlan, state: IndexState, signal: AbortSignal): Promise<void> {
    const { client, logger } = this.#options;
    const count = state.isAlias ? await countDocuments(client, plan.name, signal) : 0;
    if (count === 0) throw gone(plan.name, 'has been replaced by another one of the same name');
    logger.warn(
      { index: plan.name, now: state.concreteName, documents: count },
      'the alias leads to another index than before; taken for a copy made with versions (version_type external)',
    );
  }

  /** Ids of two tables would meet, and a TRUNCATE of one would empty both. */
  #requireAlone(name: string, { mapping, relation }: User): void {
    const user = this.#users.get(name);
    if (user === undefined) return;
    const sameTable =
      user.relation.oid === relation.oid ||
      (user.relation.schema === relation.schema && user.relation.table === relation.table);
    if (sameTable && user.mapping.where === mapping.where) return;
    throw new TailraceError({
      code: 'E_SINK_CONFIG',
      message:
        `${user.relation.schema}.${user.relation.table} (${user.mapping.where}) and ${relation.schema}.${relation.table} (${mapping.where}) ` +
        `would both be written to the index ${name}.`,
      fix: 'Give each mapping an index of its own: { sink: ..., index: ... }; an alias or a pattern searches both.',
    });
  }
}

function foreign(
  plan: IndexPlan,
  why: string,
  fix = `Choose another index in the mapping; or, when nobody needs what it holds: DELETE /${plan.name}`,
): TailraceError {
  return new TailraceError({
    code: 'E_SINK_FOREIGN',
    message: `The index ${plan.name} for ${plan.table} is not this sink's: ${why}.`,
    fix,
  });
}

function gone(name: string, how: string): TailraceError {
  return new TailraceError({
    code: 'E_SINK_CONFIG',
    message: `The index ${name} ${how}: documents that this sink has written are missing.`,
    fix: 'Restore the index from a snapshot; or let it be filled anew: see "Starting over" in the documentation of the sink.',
  });
}
