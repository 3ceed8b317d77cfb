import { randomBytes } from 'node:crypto';
import { Client } from '@elastic/elasticsearch';
import { inject } from 'vitest';

export interface TestIndices extends AsyncDisposable {
  /** Of the run's Elasticsearch, no security. */
  readonly url: string;
  /** Begins every name of the test; indices and data streams of that prefix are deleted at the end, whoever made them. */
  readonly prefix: string;
  /** As the superuser, for fixtures and checks. */
  readonly client: Client;
  /** The full name of an index. */
  name(index: string): string;
  /** Every document of a full-named index as of now, by id. */
  documents(index: string): Promise<ReadonlyMap<string, StoredDocument>>;
}

export interface StoredDocument {
  /** Exact up to 2^53. */
  readonly version: number;
  readonly source: Readonly<Record<string, unknown>>;
}

/** Names of its own on the run's Elasticsearch. */
export async function createTestIndices(): Promise<TestIndices> {
  const url = elasticsearchUrl();
  return new ServerIndices(url, `t${randomBytes(6).toString('hex')}-`);
}

export function elasticsearchUrl(): string {
  const server = inject('servers')?.elasticsearch;
  if (server?.state !== 'running') {
    throw new Error('This run has no Elasticsearch. A test file that needs it is called *.es.test.ts.');
  }
  return server.address;
}

class ServerIndices implements TestIndices {
  readonly url: string;
  readonly prefix: string;
  readonly client: Client;

  constructor(url: string, prefix: string) {
    this.url = url;
    this.prefix = prefix;
    this.client = new Client({ node: url });
  }

  name(index: string): string {
    return this.prefix + index;
  }

  async documents(index: string): Promise<ReadonlyMap<string, StoredDocument>> {
    await this.client.indices.refresh({ index });
    const documents = new Map<string, StoredDocument>();
    const { id } = await this.client.openPointInTime({ index, keep_alive: '1m' });
    try {
      for (let after: readonly unknown[] | undefined; ; ) {
        const { hits } = await this.client.search<Record<string, unknown>>({
          pit: { id, keep_alive: '1m' },
          size: 5000,
          version: true,
          sort: ['_shard_doc'],
          track_total_hits: false,
          ...(after === undefined ? {} : { search_after: after as never }),
        });
        for (const hit of hits.hits) {
          documents.set(hit._id ?? '', { version: hit._version ?? -1, source: hit._source ?? {} });
        }
        after = hits.hits.at(-1)?.sort;
        if (after === undefined) return documents;
      }
    } finally {
      await this.client.closePointInTime({ id });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A wildcard in a deletion is refused by default (action.destructive_requires_name): name them.
    const found = await this.client.indices.get({ index: `${this.prefix}*`, expand_wildcards: 'all' });
    const names = Object.keys(found);
    if (names.length > 0) await this.client.indices.delete({ index: names, ignore_unavailable: true });
    await this.client.close();
  }
}
