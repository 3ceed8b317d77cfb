import { spawnSync } from 'node:child_process';
import { chownSync, statSync } from 'node:fs';

/**
 * PostgreSQL and Elasticsearch refuse to run as root. Whom they run as instead:
 * - `self`: we are not root;
 * - `namespace`: uid 1000 of a user namespace of its own; for files it is still root without capabilities, so
 *   nothing changes owner and a checkout under a 0700 home of root stays reachable;
 * - `user`: another uid, which then has to own what it writes.
 */
export type Identity =
  | { readonly kind: 'self' }
  | { readonly kind: 'namespace' }
  | { readonly kind: 'user'; readonly uid: number; readonly gid: number };

const namespacePrefix = ['--user', '--map-user=1000', '--map-group=1000'];

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

export function launchAs(identity: Identity, command: string, args: readonly string[]): Launch {
  switch (identity.kind) {
    case 'self':
      return { command, args };
    case 'namespace':
      // unshare replaces itself by the program: the pid we know is the server's.
      return { command: 'unshare', args: [...namespacePrefix, command, ...args] };
    case 'user':
      return { command, args, uid: identity.uid, gid: identity.gid };
  }
}

/** Hands a file or directory (not what is below it) to whoever the server runs as. */
export function giveTo(identity: Identity, path: string): void {
  if (identity.kind === 'user') chownSync(path, identity.uid, identity.gid);
}

export interface Reach {
  /** A program of the server and arguments with which it answers at once. */
  readonly program: string;
  readonly args: readonly string[];
  /** What else it has to be able to read. */
  readonly readable?: string | undefined;
}

/** Whom a copy is made for when nobody but root can reach the files. */
const nobody: Identity = { kind: 'user', uid: 65534, gid: 65534 };

export interface Choice {
  readonly identity: Identity;
  /** False: the identity needs a copy of the files at a place it can reach. */
  readonly reaches: boolean;
}

/** Whom to run a server as: `wanted`, else the first that can reach the server's files, else nobody with a copy of them. */
export function chooseIdentity(reach: Reach, wanted?: Identity): Choice {
  if (wanted !== undefined) return { identity: wanted, reaches: canReach(wanted, reach) };
  if (process.getuid?.() !== 0) return { identity: { kind: 'self' }, reaches: true };
  const { uid, gid } = statSync(reach.readable ?? reach.program);
  const owner: readonly Identity[] = uid === 0 ? [] : [{ kind: 'user', uid, gid }];
  const candidates: readonly Identity[] = [{ kind: 'namespace' }, ...owner, nobody];
  const identity = candidates.find((candidate) => canReach(candidate, reach));
  return identity === undefined ? { identity: nobody, reaches: false } : { identity, reaches: true };
}

function canReach(identity: Identity, { program, args, readable = program }: Reach): boolean {
  const script = 'test -r "$1" && shift && exec "$@"';
  const launch = launchAs(identity, '/bin/sh', ['-c', script, 'reach', readable, program, ...args]);
  const result = spawnSync(launch.command, launch.args, {
    stdio: 'ignore',
    timeout: 20_000,
    cwd: '/',
    ...(launch.uid === undefined ? {} : { uid: launch.uid }),
    ...(launch.gid === undefined ? {} : { gid: launch.gid }),
  });
  return result.status === 0;
}
