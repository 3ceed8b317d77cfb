import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

/** A child process that writes with a sink, says so line by line, and may die at any moment. */
export class KillableWriter {
  readonly #child: ChildProcess;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  #output = '';
  #errors = '';
  #lines = 0;
  #onLine: (() => void) | undefined;

  constructor(script: URL, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.#child = spawn(process.execPath, [script.pathname, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
    });
    this.exited = once(this.#child, 'exit').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }));
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
      this.#lines = this.#output.split('\n').length - 1;
      this.#onLine?.();
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    void this.exited.then(() => this.#onLine?.());
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get lines(): readonly string[] {
    return this.#output.split('\n').slice(0, -1);
  }

  get errors(): string {
    return this.#errors;
  }

  /** Resolves when it has said so many lines, or has ended. */
  async said(lines: number): Promise<void> {
    let ended = false;
    void this.exited.then(() => {
      ended = true;
    });
    while (this.#lines < lines && !ended) {
      await new Promise<void>((resolve) => {
        this.#onLine = resolve;
        if (this.#lines >= lines) resolve();
      });
    }
  }

  /** SIGKILL, a moment after it has said so many lines. */
  async killAfter(lines: number, momentMs: number): Promise<void> {
    await this.said(lines);
    // Not waiting for anything: the moment of death is what varies.
    await delay(momentMs);
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}
