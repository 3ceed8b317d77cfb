import { rename, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileError, tampered } from './file-errors.ts';
import { statOf } from './line-file.ts';
import type { FileState } from './position-file.ts';
import { syncDirectory } from './sync-directory.ts';

/**
 * Brings one file back to where it stood at the checkpoint:
 *   put aside was begun, its new name is not there   finish it (cut, rename), begin a new file
 *   put aside was begun, its new name is there       it was renamed; nothing can have been written since
 *   longer than it should be                         lines behind the checkpoint: cut off, they come again
 *   shorter, or gone                                 E_SINK_FOREIGN
 * Returns its state from then on, and how many bytes were cut off.
 */
export async function recoverFile(
  dir: string,
  name: string,
  state: FileState,
): Promise<{ readonly state: FileState; readonly cutBytes: number }> {
  const path = join(dir, name);
  try {
    if (state.rotating === undefined) return { state, cutBytes: await cutTo(path, state.size) };
    const { to, size } = state.rotating;
    const target = join(dir, to);
    let cutBytes = 0;
    if ((await statOf(target)) === undefined) {
      cutBytes = await cutTo(path, size);
      await rename(path, target);
    }
    await syncDirectory(dirname(path));
    return { state: { size: 0, rotations: state.rotations, since_ms: 0 }, cutBytes };
  } catch (thrown) {
    throw fileError(thrown, 'recover', path);
  }
}

async function cutTo(path: string, size: number): Promise<number> {
  const there = await statOf(path);
  if (there === undefined) {
    // Registered, and never written to.
    if (size === 0) return 0;
    throw tampered(path, `is gone; it held ${size} bytes`);
  }
  if (there.size < size)
    throw tampered(path, `is shorter (${there.size} bytes) than what was written (${size})`);
  const cutBytes = Number(there.size) - size;
  if (cutBytes > 0) await truncate(path, size);
  return cutBytes;
}
