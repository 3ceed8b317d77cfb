import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { waitFor } from '../support/wait.ts';

const SCRIPT = fileURLToPath(new URL('./log-process.ts', import.meta.url));

/** `log-process.ts`, running. */
export class LogChild implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;

  constructor(...args: readonly string[]) {
    this.#process = spawn(
      process.execPath,
      ['--expose-gc', '--disable-warning=ExperimentalWarning', SCRIPT, ...args],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    this.#exited = once(this.#process, 'exit');
    if (this.#process.stdout !== null) {
      createInterface(this.#process.stdout).on('line', (line) => this.lines.push(line));
    }
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }

  line(i: number, timeoutMs = 10_000): Promise<string> {
    return waitFor(() => this.lines[i], { timeoutMs, describe: `line ${i} of the child's output` });
  }

  get exited(): Promise<unknown> {
    return this.#exited;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async kill(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGKILL');
      await this.#exited;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
