import { open } from 'node:fs/promises';

/** A new, renamed or removed name is only durable when its directory was synced as well. */
export async function syncDirectory(dir: string): Promise<void> {
  // Windows has no handle on a directory that could be synced; NTFS journals its entries.
  if (process.platform === 'win32') return;
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
