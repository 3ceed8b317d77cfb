import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { PipelineStatus } from '../../src/observe/status.ts';
import { GuardedProcess } from '../../test/support/guarded-process.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

export interface ConnectorOptions {
  readonly config: string;
  readonly env: Readonly<Record<string, string>>;
  readonly adminPort: number;
  readonly logFile: string;
}

/** What `tailrace <command>` prints. */
export async function printedBy(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...env },
  });
  return stdout;
}

/** Tailrace in a process of its own, as in production; in a process group of its own, so that Ctrl-C is the demo's alone. */
export class Connector {
  readonly #options: ConnectorOptions;
  #process: GuardedProcess | undefined;
  #exit: string | undefined;

  constructor(options: ConnectorOptions) {
    this.#options = options;
  }

  start(): void {
    const { config, env, adminPort, logFile } = this.#options;
    this.#exit = undefined;
    const started = new GuardedProcess({
      name: 'Tailrace',
      command: process.execPath,
      args: [MAIN, 'run', '--config', config],
      env: { ...process.env, ...env, ADMIN_PORT: String(adminPort) },
      logFile,
      deathSignal: 'KILL',
    });
    this.#process = started;
    void started.exited.then((how) => {
      if (this.#process === started) this.#exit = how;
    });
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** What the process says of itself; undefined while it does not answer. Throws when it has ended by itself. */
  async status(): Promise<PipelineStatus | undefined> {
    if (this.#exit !== undefined) {
      throw new Error(`Tailrace has ended (${this.#exit}); its log: ${this.#options.logFile}`);
    }
    try {
      const response = await fetch(`http://127.0.0.1:${this.#options.adminPort}/status`, {
        signal: AbortSignal.timeout(1000),
      });
      return (await response.json()) as PipelineStatus;
    } catch {
      return undefined;
    }
  }

  /** Polls until the status is as wanted. */
  async until(wanted: (status: PipelineStatus) => boolean, patienceMs: number): Promise<void> {
    const deadlineMs = performance.now() + patienceMs;
    while (performance.now() < deadlineMs) {
      const status = await this.status();
      if (status !== undefined && wanted(status)) return;
      await sleep(50);
    }
    throw new Error(
      `Tailrace is not as far as it should be after ${Math.round(patienceMs / 1000)} s; its log: ${this.#options.logFile}`,
    );
  }

  /** SIGKILL: no chance to tidy up. */
  async kill(): Promise<void> {
    const killed = this.#process;
    this.#process = undefined;
    this.#exit = undefined;
    await killed?.stop('SIGKILL');
  }

  /** SIGTERM: what has been read is delivered and confirmed. How it ended: `exit code 0`. */
  async stop(): Promise<string> {
    const stopped = this.#process;
    this.#process = undefined;
    await stopped?.stop('SIGTERM', 40_000);
    return (await stopped?.exited) ?? 'was not running';
  }
}

export function isStreaming(status: PipelineStatus | undefined): boolean {
  return status?.state === 'streaming' && status.source.connected;
}
