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

const nobody: Identity = { kind: 'user', uid: 65534, gid: 65534 };
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

/**
 * The first identity that can run `probe` (a program of the server that answers at once), or undefined: then
 * nobody but root can reach it, and a copy elsewhere is needed.
 */
export function findIdentity(probe: string, probeArgs: readonly string[]): Identity | undefined {
  if (process.getuid?.() !== 0) return { kind: 'self' };
  const { uid, gid } = statSync(probe);
  const owner: readonly Identity[] = uid === 0 ? [] : [{ kind: 'user', uid, gid }];
  const candidates: readonly Identity[] = [{ kind: 'namespace' }, ...owner, nobody];
  return candidates.find((identity) => canRun(identity, probe, probeArgs));
}

export function fallbackIdentity(): Identity {
  return nobody;
}

function canRun(identity: Identity, probe: string, probeArgs: readonly string[]): boolean {
  const { command, args, uid, gid } = launchAs(identity, probe, probeArgs);
  const result = spawnSync(command, args, {
    stdio: 'ignore',
    timeout: 10_000,
    cwd: '/',
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  });
  return result.status === 0;
}
