import { TailraceError } from '../../src/errors/tailrace-error.ts';
import { isTransient, jsonOf, refusal, serverError } from './answers.ts';
import type { ElasticsearchClient } from './client.ts';
import type { Flavour } from './documents/scan.ts';

export interface ServerVersion {
  readonly flavour: Flavour;
  /** `9.4.3` */
  readonly number: string;
}

/** OpenSearch sorts a point in time by _shard_doc from 3.3 on. */
const OLDEST: Readonly<Record<Flavour, string>> = { elasticsearch: '8.0', opensearch: '3.3' };

/**
 * What answers; undefined when this user may not ask, or a distribution does not tell. Throws E_SINK_CONFIG for a version too old and
 * for wrong credentials.
 */
export async function serverVersion(
  client: ElasticsearchClient,
  signal: AbortSignal,
): Promise<ServerVersion | undefined> {
  const answer = await client.request({ method: 'GET', path: '/', signal });
  if (answer.status === 401 || isTransient(answer.status)) {
    throw refusal({ status: answer.status, error: serverError(answer), doing: 'answer', indices: [] });
  }
  if (answer.status !== 200) return undefined;
  const { version } = jsonOf<{ version?: { number?: string; distribution?: string } }>(answer);
  if (version?.number === undefined) {
    throw new TailraceError({
      code: 'E_SINK_CONFIG',
      message: 'What answers at `url` is neither Elasticsearch nor OpenSearch.',
    });
  }
  const { number } = version;
  const flavour = version.distribution === 'opensearch' ? 'opensearch' : 'elasticsearch';
  if (isOlder(number, OLDEST[flavour])) {
    throw new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `${flavour === 'opensearch' ? 'OpenSearch' : 'Elasticsearch'} ${number} is too old: ${OLDEST[flavour]} is the oldest that serves.`,
    });
  }
  return { flavour, number };
}

function isOlder(number: string, oldest: string): boolean {
  const [major = 0, minor = 0] = number.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = oldest.split('.').map(Number);
  return major === oldestMajor ? minor < oldestMinor : major < oldestMajor;
}

export async function serverFlavour(client: ElasticsearchClient, signal: AbortSignal): Promise<Flavour> {
  return (await serverVersion(client, signal))?.flavour ?? 'elasticsearch';
}
