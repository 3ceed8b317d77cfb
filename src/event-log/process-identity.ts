import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** Names a process so that another one can find out whether it still lives. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly host: string;
  /** Clock ticks from boot to its start, from /proc: a pid that is used again has another one. Undefined where there is no /proc. */
  readonly startTicks?: string | undefined;
  /** Which boot of which kernel, and which pid namespace, its pid and ticks belong to. */
  readonly kernel?: string | undefined;
}

export function ownIdentity(): ProcessIdentity {
  return {
    pid: process.pid,
    host: hostname(),
    startTicks: startTicksOf(process.pid),
    kernel: kernelScope(),
  };
}

/** `alive` and `dead` are certain; `unknown`: its pid means nothing here (another host, another container). */
export function stateOf(other: ProcessIdentity): 'alive' | 'dead' | 'unknown' {
  const own = ownIdentity();
  if (other.host !== own.host || other.kernel !== own.kernel) return 'unknown';
  try {
    process.kill(other.pid, 0);
  } catch (error) {
    // EPERM: it is there and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return 'dead';
  }
  return startTicksOf(other.pid) === other.startTicks ? 'alive' : 'dead';
}

/** Field 22 of /proc/PID/stat; the second field, the name, may hold spaces and parentheses. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function startTicksOf(pid: number): string | undefined {
  const stat = readOptional(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

function kernelScope(): string | undefined {
  const boot = readOptional(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim());
  const namespace = readOptional(() => readlinkSync('/proc/self/ns/pid'));
  return boot === undefined ? undefined : `${boot} ${namespace ?? ''}`;
}

function readOptional(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
