import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@elastic/elasticsearch';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { elasticsearchConnector } from '../../../connectors/elasticsearch/elasticsearch-connector.ts';
import type { Finding } from '../../../src/delivery/sink.ts';
import type { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { Metrics } from '../../../src/observe/metrics.ts';
import { noMetrics } from '../../../src/observe/metrics.ts';
import { CertificateAuthority } from '../../support/certificates.ts';
import { type LocalElasticsearch, startLocalElasticsearch } from '../../support/local-elasticsearch.ts';
import { ServerUnavailableError } from '../../support/servers.ts';
import { EventScript, relation, sinkContext } from '../batch-builder.ts';
import { type ConfigInput, type FixtureOptions, SinkFixture } from './sink-fixture.ts';

/** A node with users and TLS, and so little room that a modest load is too much for it. */
const LIMITS = {
  'http.max_content_length': '200kb',
  'indexing_pressure.memory.limit': '150kb',
  'thread_pool.write.size': 1,
  'thread_pool.write.queue_size': 1,
};
const PASSWORD = 'correct horse battery staple';

const orders = relation({ table: 'orders', columns: { id: 'int8', note: 'text' }, key: ['id'] });
const authority = new CertificateAuthority();

let node: LocalElasticsearch | undefined;
let unavailable: string | undefined;
let client: Client;
let dir: string;
let caFile: string;
let tests = 0;
let prefix: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tailrace-es-'));
  caFile = join(dir, 'ca.pem');
  await writeFile(caFile, authority.certificate);
  try {
    node = await startLocalElasticsearch({
      config: LIMITS,
      security: {
        users: { admin: PASSWORD },
        certificate: authority.issue({ commonName: 'node', hosts: ['127.0.0.1'] }),
      },
    });
  } catch (error) {
    if (!(error instanceof ServerUnavailableError) || process.env['CI']) throw error;
    unavailable = error.message;
    return;
  }
  client = new Client({
    node: node.url,
    auth: { username: 'admin', password: PASSWORD },
    tls: { ca: authority.certificate },
  });
}, 240_000);

afterAll(async () => {
  await client?.close();
  await node?.[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

beforeEach((context) => {
  if (unavailable !== undefined) context.skip(unavailable);
  prefix = `t${++tests}-`;
});

function asAdmin(): ConfigInput {
  return { auth: { username: 'admin', password: PASSWORD }, tls: { ca: caFile } };
}

function fixture(config: ConfigInput, context: FixtureOptions['context'] = {}): SinkFixture {
  return new SinkFixture({ url: node?.url ?? '', prefix, config, context });
}

async function apiKey(privileges: Readonly<Record<string, readonly string[]>>): Promise<string> {
  const { encoded } = await client.security.createApiKey({
    name: prefix,
    role_descriptors: {
      tailrace: {
        indices: Object.entries(privileges).map(([name, granted]) => ({
          names: [prefix + name],
          privileges: [...granted],
        })),
      },
    },
  });
  return encoded;
}

async function failure(promise: Promise<unknown>): Promise<TailraceError> {
  try {
    await promise;
  } catch (error) {
    expect(JSON.stringify(error) + String(error)).not.toContain(PASSWORD);
    return error as TailraceError;
  }
  throw new Error('It succeeded.');
}

async function ids(index = 'orders'): Promise<number> {
  await client.indices.refresh({ index: prefix + index });
  return (await client.count({ index: prefix + index })).count;
}

function insertMany(script: EventScript, count: number, note: string): void {
  script.transaction((tx) => {
    for (let i = 0; i < count; i++) tx.insert(orders, { id: String(i), note });
  });
}

async function findings(config: ConfigInput): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  const mapping = elasticsearchConnector.mapping.parse({ index: `${prefix}{table}` });
  const input = {
    config: elasticsearchConnector.config.parse({
      url: node?.url,
      positions_index: `${prefix}positions`,
      ...config,
    }),
    context: sinkContext({ dataDir: dir }),
    tables: [
      {
        mapping: { id: 'm', table: 'public.orders', sink: 's', where: 'x:1:1', options: mapping },
        relation: orders,
      },
    ],
    signal: new AbortController().signal,
  };
  for await (const finding of elasticsearchConnector.check(input)) found.push(finding);
  return found;
}

describe('users and certificates', () => {
  test('basic authentication over TLS with a CA file delivers', async () => {
    await using sink = fixture(asAdmin());
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    insertMany(script, 10, 'x');
    await sink.deliver(script);
    expect(await ids()).toBe(10);
  });

  test('a certificate of an unknown authority is not trusted, unless that is asked for', async () => {
    await using distrusting = fixture({ ...asAdmin(), tls: undefined });
    expect(await failure(distrusting.open())).toMatchObject({
      code: 'E_SINK_UNAVAILABLE',
      fix: expect.stringContaining('tls: { ca: <file> }'),
    });
    await using trusting = fixture({ ...asAdmin(), tls: { insecure: true } });
    await trusting.open();
    const text = fixture({ ...asAdmin(), tls: { ca: authority.certificate } });
    await text.open();
    await text.close();
    expect(() => fixture({ ...asAdmin(), tls: { ca: join(dir, 'nope.pem') } })).toThrow(
      expect.objectContaining({ code: 'E_SINK_CONFIG' }),
    );
  });

  test('wrong or missing credentials are final', async () => {
    for (const auth of [undefined, { username: 'admin', password: 'wrong' }, { api_key: 'bm90OmtleQ==' }]) {
      await using sink = fixture({ tls: { ca: caFile }, auth });
      expect(await failure(sink.open())).toMatchObject({
        code: 'E_SINK_CONFIG',
        retriable: false,
        fix: expect.stringContaining('auth:'),
      });
    }
  });

  test('an API key with read, write and manage on its indices is enough, and check says so', async () => {
    const api_key = await apiKey({ '*': ['read', 'write', 'manage'] });
    const config = { auth: { api_key }, tls: { ca: caFile } };
    expect((await findings(config)).map(({ level }) => level)).toEqual(['ok', 'ok', 'ok']);
    await using sink = fixture(config);
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    insertMany(script, 10, 'x');
    script.transaction((tx) => tx.truncate(orders));
    script.transaction((tx) => tx.insert(orders, { id: '1', note: 'y' }));
    expect(await sink.deliver(script, { transactions: 1 })).toEqual(script.end);
    expect(await ids()).toBe(1);
  });

  test('a missing privilege is final, with the role that is needed', async () => {
    const reader = { auth: { api_key: await apiKey({ '*': ['read'] }) }, tls: { ca: caFile } };
    await using reading = fixture(reader);
    const refused = await failure(reading.open());
    expect(refused).toMatchObject({ code: 'E_SINK_CONFIG', retriable: false });
    expect(refused.fix).toContain(
      `{"indices":[{"names":["${prefix}positions"],"privileges":["read","write","manage"]}]}`,
    );
    expect(await findings(reader)).toContainEqual({
      level: 'error',
      about: `The user lacks privileges on ${prefix}positions, ${prefix}orders.`,
      fix: expect.stringContaining('"privileges"'),
    });
    // May make the index, may not write to it.
    const api_key = await apiKey({ positions: ['all'], orders: ['manage', 'read'] });
    await using sink = fixture({ auth: { api_key }, tls: { ca: caFile } });
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    insertMany(script, 1, 'x');
    expect(await failure(sink.write(sink.batch(script)))).toMatchObject({
      code: 'E_SINK_CONFIG',
      retriable: false,
      fix: expect.stringContaining(`${prefix}orders`),
    });
  });

  test('check warns of a bulk size above what the cluster takes', async () => {
    expect(await findings(asAdmin())).toContainEqual({
      level: 'warning',
      about: expect.stringContaining('http.max_content_length of the cluster (204800)'),
      fix: 'bulk: { bytes: 100KiB }',
    });
  });
});

describe('a cluster with little room', () => {
  test('a request above http.max_content_length is cut until it passes; a single document above it is rejected', async () => {
    await using sink = fixture(asAdmin());
    await sink.open();
    await sink.prepare(orders);
    const script = new EventScript();
    insertMany(script, 300, 'x'.repeat(2000));
    script.transaction((tx) => tx.insert(orders, { id: '1000', note: 'y'.repeat(300_000) }));
    const { rejected } = await sink.write(sink.batch(script));
    expect(rejected).toEqual([
      { item: 300, reason: expect.any(String), detail: expect.stringContaining('http.max_content_length') },
    ]);
    expect(await ids()).toBe(300);
  });

  test('overload (429, of requests and of items) is waited out, and no document is missed', async () => {
    let throttled = 0;
    const metrics: Metrics = {
      ...noMetrics,
      counter: (name) => ({
        add: (value) => {
          if (name === 'tailrace_elasticsearch_throttled_total') throttled += value;
        },
      }),
    };
    await using sink = fixture(
      { ...asAdmin(), bulk: { bytes: '60KiB', actions: 100 }, in_flight: 4 },
      { metrics },
    );
    await sink.open();
    await sink.prepare(orders);
    let noisy = true;
    const line = `{"index":{}}\n{"note":"${'z'.repeat(1000)}"}\n`;
    const noise = Array.from({ length: 6 }, async () => {
      while (noisy) {
        await client.transport
          .request({ method: 'POST', path: `/${prefix}noise/_bulk`, bulkBody: line.repeat(40) })
          .catch(() => {});
      }
    });
    try {
      let written = 0;
      for (let round = 0; throttled < 3 && round < 40; round++) {
        const script = new EventScript({ startLsn: BigInt(round + 1) * 10_000_000n });
        script.transaction((tx) => {
          for (let i = 0; i < 200; i++) tx.insert(orders, { id: String(written++), note: 'x'.repeat(500) });
        });
        const batch = sink.batch(script);
        for (let done = false; !done; ) {
          try {
            expect((await sink.write(batch)).rejected).toEqual([]);
            done = true;
          } catch (error) {
            expect(error).toMatchObject({ code: 'E_SINK_UNAVAILABLE', retriable: true });
          }
        }
      }
      expect(throttled).toBeGreaterThanOrEqual(3);
      noisy = false;
      await Promise.all(noise);
      expect(await ids()).toBe(written);
    } finally {
      noisy = false;
      await Promise.all(noise);
    }
  });
});
