import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { systemClock } from '../clock.ts';
import { silentLogger } from '../observe/logger.ts';
import type { EventLog, EventLogOptions } from './contract.ts';
import { DirectoryLock } from './directory-lock.ts';
import { nodeFileSystem } from './file-system.ts';
import { ioError } from './log-errors.ts';
import { recover } from './recovery.ts';
import { segmentBaseOf } from './segment-header.ts';
import { type LogInternals, SegmentedLog } from './segmented-log.ts';
import { type LogState, StateFile, stateError } from './state-file.ts';

/** Row values lie in it. */
const DIRECTORY_MODE = 0o700;

export interface OpenEventLogOptions extends EventLogOptions, LogInternals {
  /** How the lock shows that it is alive; for tests. */
  readonly lock?: { readonly heartbeatMs: number; readonly silenceMs: number } | undefined;
}

/**
 * Opens the log in `dir`, making the directory when there is none, and keeps other processes out until it is closed.
 * E_LOCKED: another process has it. E_LOG_CORRUPT, E_STATE: it is damaged. E_LOG_IO: the disk refuses.
 */
export async function openEventLog(options: OpenEventLogOptions): Promise<EventLog> {
  const { clock = systemClock, logger = silentLogger, fileSystem = nodeFileSystem } = options;
  const dir = resolve(options.dir);
  await mkdir(dir, { recursive: true, mode: DIRECTORY_MODE }).catch((error: unknown) => {
    throw ioError('create', dir, error);
  });
  let log: SegmentedLog | undefined;
  const lock = await DirectoryLock.acquire({
    dir,
    clock,
    ...options.lock,
    onLost: (error) => log?.stop(error),
  });
  try {
    const state = new StateFile(dir, fileSystem);
    const known = (await state.read()) ?? (await createState(state, await fileSystem.readdir(dir)));
    const recovered = await recover({ fileSystem, dir, notedEnd: known.end, logger });
    log = new SegmentedLog({ ...options, dir, clock, logger, fileSystem, recovered, state, lock });
    await log.start();
    return log;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** The state file is there before the first segment: segments without one have lost it. */
async function createState(state: StateFile, names: readonly string[]): Promise<LogState> {
  const segment = names.find((name) => segmentBaseOf(name) !== undefined);
  if (segment !== undefined) throw stateError(state.path, `it is missing although there is ${segment}`);
  return state.update({});
}
