import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Identity, launchAs } from './unprivileged.ts';

export interface GuardedProcessOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly identity?: Identity | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly cwd?: string | undefined;
  /** Where its output goes (appended). */
  readonly logFile: string;
  /** Directories that go away when we die before the process has been stopped in order. */
  readonly removeOnDeath?: readonly string[] | undefined;
  /** The first signal the watchdog sends; SIGKILL follows after 5 s. */
  readonly deathSignal?: 'QUIT' | 'TERM' | 'KILL' | undefined;
}

/**
 * A server process that never outlives the process that started it. It leads a process group of its own, so that Ctrl-C in the terminal
 * does not reach it before its tests are through; in exchange a watchdog holds a pipe to us: the kernel closes it
 * however we end, SIGKILL included, and the watchdog then ends the group and removes its directories.
 */
export class GuardedProcess {
  readonly name: string;
  readonly logFile: string;
  readonly pid: number;
  readonly exited: Promise<string>;
  #exit: string | undefined;
  readonly #watchdog: ChildProcess;

  constructor(options: GuardedProcessOptions) {
    this.name = options.name;
    this.logFile = options.logFile;
    const { command, args, uid, gid } = launchAs(
      options.identity ?? { kind: 'self' },
      options.command,
      options.args,
    );
    const output = openSync(options.logFile, 'a');
    const child = spawn(command, args, {
      detached: true,
      stdio: ['ignore', output, output],
      env: options.env ?? process.env,
      cwd: options.cwd,
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    });
    closeSync(output);
    this.exited = new Promise((resolve) => {
      child.once('error', (error) => resolve(`could not be started: ${error.message}`));
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    this.pid = child.pid ?? 0;
    this.#watchdog = watch(this.pid, options.deathSignal ?? 'TERM', options.removeOnDeath ?? []);
    void this.exited.then((how) => {
      this.#exit = how;
      this.#watchdog.stdin?.end('released\n');
    });
    child.unref();
  }

  get running(): boolean {
    return this.pid !== 0 && this.#exit === undefined;
  }

  /** Rejects as soon as the process ends: race it against a readiness check. */
  async failedStart(): Promise<never> {
    const how = await this.exited;
    throw new Error(`${this.name} ended while starting (${how}):\n${this.logTail()}`);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#signalGroup(signal);
  }

  #signalGroup(signal: NodeJS.Signals): void {
    if (!isGroupAlive(this.pid)) return;
    try {
      process.kill(-this.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  /** Sends the signal, then SIGKILL when the process is still there after the deadline; waits for its children too. */
  async stop(signal: NodeJS.Signals, deadlineMs = 15_000): Promise<void> {
    this.#signalGroup(signal);
    const startedMs = performance.now();
    for (let killed = signal === 'SIGKILL'; this.running || isGroupAlive(this.pid); await delay(5)) {
      if (killed || performance.now() - startedMs < deadlineMs) continue;
      killed = true;
      this.#signalGroup('SIGKILL');
    }
    await this.exited;
  }

  logTail(lines = 20): string {
    return readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }
}

/**
 * Whether a process of the group is there. A zombie is not: where nobody reaps orphans they stay for ever, and
 * signal 0 still finds them.
 */
export function isGroupAlive(group: number): boolean {
  if (process.platform !== 'linux') {
    try {
      return process.kill(-group, 0);
    } catch {
      return false;
    }
  }
  return readdirSync('/proc').some((entry) => /^\d+$/.test(entry) && isMember(entry, group));
}

function isMember(pid: string, group: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // proc_pid_stat(5): pid (comm) state ppid pgrp ...; comm may hold anything.
    const [state = '', , pgrp] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(pgrp) !== group) return false;
    if (state !== 'Z' && state !== 'X') return true;
    // Threads that outlive the first one for a moment still hold ports and file locks.
    return readdirSync(`/proc/${pid}/task`).length > 1;
  } catch {
    return false;
  }
}

const watchdogScript = `
signal=$1 group=$2; shift 2
read -r line && [ "$line" = released ] && exit 0
leads() { kill -s 0 "$group" 2>/dev/null && ! grep -q '^State:.[ZX]' "/proc/$group/status" 2>/dev/null; }
kill -s "$signal" -- "-$group" 2>/dev/null
n=0; while [ $n -lt 50 ] && leads; do sleep 0.1; n=$((n + 1)); done
kill -s KILL -- "-$group" 2>/dev/null
[ $# -eq 0 ] || rm -rf -- "$@" 2>/dev/null || { sleep 1; rm -rf -- "$@"; }
`;

function watch(group: number, signal: string, directories: readonly string[]): ChildProcess {
  if (group === 0) throw new Error('There is no process to watch: it could not be started.');
  const watchdog = spawn(
    '/bin/sh',
    ['-c', watchdogScript, 'watchdog', signal, String(group), ...directories],
    {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      cwd: '/',
    },
  );
  // Neither handle may keep a finished program from ending.
  watchdog.unref();
  (watchdog.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  watchdog.stdin?.on('error', () => {});
  watchdog.on('error', () => {});
  return watchdog;
}
