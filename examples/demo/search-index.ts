import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@elastic/elasticsearch';
import { canonicalRow, keyOf, type Rows, type ShopTable, TABLES } from './shop-tables.ts';

const PAGE = 5000;
const LOOK_AGAIN_MS = 500;

export interface IndexHit {
  readonly name: string;
  readonly price: string;
  readonly score: number;
}

/** The Elasticsearch indices of the demo: one per table. */
export class SearchIndex {
  readonly #client: Client;
  readonly #prefix: string;
  readonly #closing = new AbortController();
  #counts: ReadonlyMap<string, number> = new Map();
  #counting: Promise<void> | undefined;

  constructor(url: string, prefix: string) {
    this.#client = new Client({ node: url });
    this.#prefix = prefix;
  }

  /** Documents per table, as of the last look. */
  counts(): ReadonlyMap<string, number> {
    this.#counting ??= this.#count();
    return this.#counts;
  }

  async #count(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      // An index is made with its first row: until then there is nothing to count.
      const counts = TABLES.map(
        async ({ name }): Promise<[string, number]> => [
          name,
          await this.#documents(this.#index(name)).catch(() => 0),
        ],
      );
      this.#counts = new Map(await Promise.all(counts));
      await sleep(LOOK_AGAIN_MS, undefined, { signal: this.#closing.signal }).catch(() => {});
    }
  }

  async #documents(index: string): Promise<number> {
    await this.#client.indices.refresh({ index });
    return (await this.#client.count({ index })).count;
  }

  /** Every document, whatever a search would see. */
  async rows(table: ShopTable): Promise<Rows> {
    const index = this.#index(table.name);
    await this.#client.indices.refresh({ index });
    const { id } = await this.#client.openPointInTime({ index, keep_alive: '1m' });
    const rows = new Map<string, string>();
    try {
      for (let after: readonly unknown[] | undefined; ; ) {
        const { hits } = await this.#client.search<Record<string, unknown>>({
          pit: { id, keep_alive: '1m' },
          size: PAGE,
          sort: ['_shard_doc'],
          track_total_hits: false,
          ...(after === undefined ? {} : { search_after: after as never }),
        });
        for (const { _source: row = {} } of hits.hits) rows.set(keyOf(table, row), canonicalRow(table, row));
        after = hits.hits.at(-1)?.sort;
        if (after === undefined) return rows;
      }
    } finally {
      await this.#client.closePointInTime({ id });
    }
  }

  /** Best match first. */
  async search(words: string): Promise<readonly IndexHit[]> {
    const { hits } = await this.#client.search<{ name: string; price: string }>({
      index: this.#index('products'),
      size: 3,
      query: { multi_match: { query: words, fields: ['name^2', 'description'], type: 'cross_fields' } },
    });
    return hits.hits.map(({ _score, _source }) => ({
      name: _source?.name ?? '',
      price: _source?.price ?? '',
      score: _score ?? 0,
    }));
  }

  /** From a server that is not the demo's own, nothing of it stays. */
  async deleteIndices(): Promise<void> {
    await this.#client.indices.delete({
      index: TABLES.map(({ name }) => this.#index(name)),
      ignore_unavailable: true,
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#counting;
    await this.#client.close();
  }

  #index(table: string): string {
    return `${this.#prefix}-${table}`;
  }
}
