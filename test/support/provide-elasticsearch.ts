import { dockerAnswers } from './docker.ts';
import { elasticsearchVersion } from './elasticsearch-distribution.ts';
import { startLocalElasticsearch } from './local-elasticsearch.ts';
import type { RunningServer } from './servers.ts';

const image = `elasticsearch:${elasticsearchVersion}`;

/** Environment URL, else Docker, else the node that a Maven Central archive carries. */
export async function provideElasticsearch(): Promise<RunningServer> {
  const url = process.env['TAILRACE_TEST_ELASTICSEARCH_URL'];
  if (url !== undefined && url !== '') {
    return { address: url, via: 'TAILRACE_TEST_ELASTICSEARCH_URL', stop: async () => {} };
  }
  if (await dockerAnswers()) return startContainer();
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
