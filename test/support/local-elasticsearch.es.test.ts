import { Client } from '@elastic/elasticsearch';
import { expect, test } from 'vitest';
import { CertificateAuthority } from './certificates.ts';
import { findJava } from './java.ts';
import { startLocalElasticsearch } from './local-elasticsearch.ts';

test.skipIf(findJava(21) === undefined)(
  'admits users and API keys by HTTPS only, takes settings, and keeps its data over kill -9',
  { timeout: 240_000 },
  async () => {
    const authority = new CertificateAuthority();
    const tls = { ca: authority.certificate };
    await using server = await startLocalElasticsearch({
      config: { 'thread_pool.write.queue_size': 17 },
      security: {
        users: { alice: 'secret' },
        certificate: authority.issue({ commonName: 'elasticsearch', hosts: ['127.0.0.1'] }),
      },
    });
    const connect = (auth?: { username: string; password: string } | { apiKey: string }): Client =>
      new Client({ node: server.url, tls, maxRetries: 0, ...(auth === undefined ? {} : { auth }) });
    const alice = connect({ username: 'alice', password: 'secret' });
    await alice.index({ index: 'kept', id: '1', document: { total: 1 } });
    const { encoded } = await alice.security.createApiKey({ name: 'key' });
    expect((await connect({ apiKey: encoded }).get({ index: 'kept', id: '1' })).found).toBe(true);
    for (const stranger of [connect(), connect({ username: 'alice', password: 'wrong' })]) {
      await expect(stranger.get({ index: 'kept', id: '1' })).rejects.toMatchObject({ statusCode: 401 });
    }
    const { nodes } = await alice.nodes.info({ metric: 'thread_pool' });
    expect(Object.values(nodes)[0]?.thread_pool?.['write']?.queue_size).toBe(17);
    await server.kill9();
    await server.start();
    expect((await alice.get({ index: 'kept', id: '1' })).found).toBe(true);
    await server.stop();
    expect(server.running).toBe(false);
  },
);
