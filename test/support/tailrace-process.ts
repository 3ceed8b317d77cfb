import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { PipelineStatus } from '../../src/observe/status.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

export interface TailraceProcessOptions {
  readonly config: string;
  readonly env: Readonly<Record<string, string>>;
  readonly adminPort: number;
  readonly logFile: string;
  /** After `run --config FILE`. */
  readonly args?: readonly string[] | undefined;
}

/** Tailrace in a process of its own, as it runs in production. */
export class TailraceProcess implements AsyncDisposable {
  starts = 0;
  readonly #options: TailraceProcessOptions;
  #process: ChildProcess | undefined;
  #exited: Promise<number | null> = Promise.resolve(0);

  constructor(options: TailraceProcessOptions) {
    this.#options = options;
  }

  start(): void {
    this.starts++;
    const child = spawn(
      process.execPath,
      [MAIN, 'run', '--config', this.#options.config, ...(this.#options.args ?? [])],
      {
        env: { ...process.env, ...this.#options.env, ADMIN_PORT: String(this.#options.adminPort) },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    child.stderr?.pipe(createWriteStream(this.#options.logFile, { flags: 'a' }));
    this.#process = child;
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code) => resolve(code));
    });
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** What the process says of itself; undefined while it does not answer. */
  async status(): Promise<PipelineStatus | undefined> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.#options.adminPort}/status`, {
        signal: AbortSignal.timeout(1000),
      });
      return (await response.json()) as PipelineStatus;
    } catch {
      return undefined;
    }
  }

  /** Resolves with the exit code when the process has ended. */
  exited(): Promise<number | null> {
    return this.#exited;
  }

  /** SIGKILL: no chance to tidy up. */
  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL');
    await this.#exited;
  }

  /** SIGTERM: drains. The exit code. */
  async stop(): Promise<number | null> {
    this.#process?.kill('SIGTERM');
    return this.#exited;
  }

  signal(name: NodeJS.Signals): void {
    this.#process?.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  /** Rejects when the process ends before it streams. */
  async streaming(timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    let ended = false;
    void this.#exited.then(() => {
      ended = true;
    });
    while (performance.now() < deadlineMs && !ended) {
      if ((await this.status())?.state === 'streaming') return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`Tailrace ${ended ? 'ended' : 'does not stream'}; its log is ${this.#options.logFile}`);
  }
}
