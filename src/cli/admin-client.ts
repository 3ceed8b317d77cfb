import { TailraceError } from '../errors/tailrace-error.ts';
import { readLockOwner } from '../event-log/directory-lock.ts';
import type { AppConfig } from './read-config.ts';

/** Asks the admin server of the running pipeline; its address and token are in the lock file of the event log. */
export async function askAdmin(config: AppConfig, path: string, signal?: AbortSignal): Promise<Response> {
  const lock = await readLockOwner(config.eventLog.dir);
  if (lock?.admin === undefined) {
    throw new TailraceError({
      code: 'E_USAGE',
      message:
        lock === undefined
          ? `Pipeline ${config.pipeline} is not running (no process holds ${config.eventLog.dir}).`
          : `Pipeline ${config.pipeline} runs as process ${lock.pid} without an admin server.`,
      fix: lock === undefined ? 'tailrace run --config FILE' : 'Remove admin: false from the configuration.',
    });
  }
  let response: Response;
  try {
    response = await fetch(new URL(path, lock.admin.url), {
      headers: { authorization: `Bearer ${lock.admin.token}` },
      signal: signal ?? AbortSignal.timeout(10_000),
    });
  } catch (cause) {
    throw new TailraceError({
      code: 'E_USAGE',
      message: `The admin server of process ${lock.pid} does not answer at ${lock.admin.url}.`,
      cause,
    });
  }
  if (response.ok) return response;
  throw new TailraceError({
    code: 'E_USAGE',
    message: `The admin server of process ${lock.pid} answers ${response.status} ${response.statusText}.`,
  });
}
