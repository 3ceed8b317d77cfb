import type { TestProject } from 'vitest/node';
import { neededServers } from './needed-servers.ts';
import { provideElasticsearch } from './provide-elasticsearch.ts';
import { provideKafka } from './provide-kafka.ts';
import { providePostgres } from './provide-postgres.ts';
import {
  type RunningServer,
  type ServerName,
  type ServerState,
  type Servers,
  ServerUnavailableError,
  serverNames,
} from './servers.ts';

const providers: Readonly<Record<ServerName, () => Promise<RunningServer>>> = {
  postgres: providePostgres,
  kafka: provideKafka,
  elasticsearch: provideElasticsearch,
};

/** Starts, side by side and once, the servers that the selected test files need; returns what stops them. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const running: RunningServer[] = [];
  const states: Partial<Record<ServerName, ServerState>> = {};

  const startNeeded = async (files: readonly string[]): Promise<void> => {
    const needed = new Set(files.flatMap((file) => [...neededServers(file)]));
    const missing = serverNames.filter((name) => needed.has(name) && states[name] === undefined);
    const outcomes = await Promise.allSettled(missing.map(async (name) => start(name)));
    const failures: unknown[] = [];
    for (const [i, outcome] of outcomes.entries()) {
      const name = missing[i] as ServerName;
      if (outcome.status === 'fulfilled') {
        running.push(outcome.value);
        states[name] = { state: 'running', address: outcome.value.address, via: outcome.value.via };
      } else if (outcome.reason instanceof ServerUnavailableError && !mustHaveAll()) {
        const { message, remedy } = outcome.reason;
        states[name] = { state: 'left-out', reason: message, remedy };
      } else {
        failures.push(withRemedy(name, outcome.reason));
      }
    }
    project.provide('servers', { ...states } satisfies Servers);
    if (failures.length > 0) {
      await stopAll();
      throw failures.length === 1
        ? failures[0]
        : new AggregateError(failures, failures.map(String).join('\n'));
    }
  };

  const stopAll = async (): Promise<void> => {
    await Promise.allSettled(running.splice(0).map(async (server) => server.stop()));
  };

  // In watch mode a later run may select files that need more.
  project.onTestsRerun(async (specifications) => startNeeded(specifications.map(({ moduleId }) => moduleId)));
  await startNeeded(project.vitest.state.getPaths());
  return stopAll;
}

/** Where CI is set, a suite that cannot run is a failure. */
function mustHaveAll(): boolean {
  return !['', 'false', undefined].includes(process.env['CI']);
}

function withRemedy(name: ServerName, error: unknown): unknown {
  if (!(error instanceof ServerUnavailableError)) return error;
  return new Error(`${name} cannot be had: ${error.message}. Either ${error.remedy}.`, { cause: error });
}

async function start(name: ServerName): Promise<RunningServer> {
  const startedMs = performance.now();
  const server = await providers[name]();
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`${name}: ${server.via} (${seconds} s)`);
  return server;
}
