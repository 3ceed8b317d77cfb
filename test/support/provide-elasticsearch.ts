import { elasticsearchVersion } from './elasticsearch-distribution.ts';
import { startLocalElasticsearch } from './local-elasticsearch.ts';
import { provideServer } from './provide-server.ts';
import type { RunningServer } from './servers.ts';

const image = `elasticsearch:${elasticsearchVersion}`;

export async function provideElasticsearch(): Promise<RunningServer> {
  return provideServer({
    name: 'elasticsearch',
    variable: 'TAILRACE_TEST_ELASTICSEARCH_URL',
    check: requireHealthy,
    startContainer,
    startPackages,
    remedy: 'start Docker, or set TAILRACE_TEST_ELASTICSEARCH_URL',
  });
}

async function requireHealthy(url: string): Promise<void> {
  const health = new URL('_cluster/health?wait_for_status=yellow&timeout=30s', url.replace(/\/?$/, '/'));
  const { ok, status } = await fetch(health, { signal: AbortSignal.timeout(40_000) });
  if (!ok) throw new Error(`TAILRACE_TEST_ELASTICSEARCH_URL: the cluster is not healthy (HTTP ${status}).`);
}

async function startPackages(): Promise<RunningServer> {
  const server = await startLocalElasticsearch();
  return {
    address: server.url,
    via: `Elasticsearch ${elasticsearchVersion} from Maven Central`,
    stop: async () => server[Symbol.asyncDispose](),
  };
}

async function startContainer(): Promise<RunningServer> {
  const { ElasticsearchContainer } = await import('@testcontainers/elasticsearch');
  const container = await new ElasticsearchContainer(image)
    .withEnvironment({
      'xpack.security.enabled': 'false',
      'cluster.routing.allocation.disk.threshold_enabled': 'false',
      ES_JAVA_OPTS: '-Xms512m -Xmx512m',
    })
    .start();
  return {
    address: container.getHttpUrl(),
    via: `Docker, ${image}`,
    stop: async () => {
      await container.stop();
    },
  };
}
