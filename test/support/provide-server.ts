import { dockerAnswers } from './docker.ts';
import { type RunningServer, type ServerName, ServerUnavailableError } from './servers.ts';

export interface ServerSources {
  readonly name: ServerName;
  /** Environment variable with the address of a server that runs already. */
  readonly variable: string;
  /** Throws when that server lacks what tests need: better once than in a hundred failing tests. */
  readonly check: (address: string) => Promise<void>;
  readonly startContainer: () => Promise<RunningServer>;
  /** From packages of npm or Maven Central. */
  readonly startPackages: () => Promise<RunningServer>;
  /** What to do when none of these works: "install ..., or set ...". */
  readonly remedy: string;
}

/** Environment, else Docker, else packages. */
export async function provideServer(sources: ServerSources): Promise<RunningServer> {
  const address = process.env[sources.variable];
  if (address !== undefined && address !== '') {
    await sources.check(address);
    return { address, via: sources.variable, stop: async () => {} };
  }
  if (await dockerAnswers()) {
    try {
      return await sources.startContainer();
    } catch (error) {
      console.warn(`${sources.name}: Docker answers, but the container does not start: ${reason(error)}`);
    }
  }
  try {
    return await sources.startPackages();
  } catch (cause) {
    if (cause instanceof ServerUnavailableError) throw cause;
    throw new ServerUnavailableError(reason(cause), sources.remedy, { cause });
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
