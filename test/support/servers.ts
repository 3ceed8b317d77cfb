/** The real servers tests run against. Which of them a test file gets follows from its name and imports. */
export type ServerName = 'postgres' | 'kafka' | 'elasticsearch';

export const serverNames: readonly ServerName[] = ['postgres', 'kafka', 'elasticsearch'];

/** What tests read with `inject('servers')`; absent: no selected test needs it. */
export type ServerState =
  | { readonly state: 'running'; readonly address: string; readonly via: string }
  | { readonly state: 'left-out'; readonly reason: string; readonly remedy: string };

export type Servers = Readonly<Partial<Record<ServerName, ServerState>>>;

/** A server found or started for the run. */
export interface RunningServer {
  /** URL of PostgreSQL (superuser) or Elasticsearch, bootstrap brokers of Kafka. */
  readonly address: string;
  /** How it was had, for people: "environment", "Docker postgres:18", "local package 18.4". */
  readonly via: string;
  stop(): Promise<void>;
}

/** The server cannot be had on this machine: without CI in the environment its suites are left out. */
export class ServerUnavailableError extends Error {
  override readonly name = 'ServerUnavailableError';
  readonly remedy: string;

  constructor(reason: string, remedy: string, options?: ErrorOptions) {
    super(reason, options);
    this.remedy = remedy;
  }
}

declare module 'vitest' {
  export interface ProvidedContext {
    servers: Servers;
  }
}
