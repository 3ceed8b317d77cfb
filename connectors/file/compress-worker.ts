import { createReadStream, createWriteStream } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type MessagePort, parentPort } from 'node:worker_threads';
import { createGzip } from 'node:zlib';
import { syncDirectory } from './sync-directory.ts';

/** What the worker answers for each path it is sent. */
export type Compressed = { readonly path: string; readonly error?: string | undefined };

/** The file is replaced by its compressed form as a whole: whatever moment it is interrupted at, doing it again ends the same. */
async function compress(path: string): Promise<void> {
  const part = `${path}.gz.part`;
  const target = `${path}.gz`;
  await pipeline(createReadStream(path), createGzip(), createWriteStream(part));
  const handle = await open(part, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(part, target);
  await syncDirectory(dirname(path));
  await unlink(path);
}

function serve(port: MessagePort): void {
  let last = Promise.resolve();
  port.on('message', (path: string) => {
    last = last.then(async () => {
      let answer: Compressed = { path };
      try {
        await compress(path);
      } catch (thrown) {
        answer = { path, error: thrown instanceof Error ? thrown.message : String(thrown) };
      }
      port.postMessage(answer);
    });
  });
}

if (parentPort !== null) serve(parentPort);
