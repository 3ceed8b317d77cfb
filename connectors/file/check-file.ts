import { access, constants, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { CheckInput, Finding } from '../../src/delivery/sink.ts';
import type { FileConfig, FileMapping } from './config.ts';
import { fileNames } from './file-name.ts';

/** Looks at the directory and names each table's file; makes nothing. */
export async function* checkFile(
  input: CheckInput<FileConfig, FileMapping>,
): AsyncGenerator<Finding, void, undefined> {
  const dir = resolve(input.context.baseDir, input.config.path);
  yield await checkDirectory(dir);
  for (const { mapping, relation } of input.tables) {
    const name = fileNames(mapping.options.file ?? input.config.file, input.context)(relation);
    yield {
      level: 'ok',
      about: `${mapping.id}: ${relation.schema}.${relation.table} into ${join(dir, name)}`,
    };
  }
}

async function checkDirectory(dir: string): Promise<Finding> {
  const there = await stat(dir).catch(() => undefined);
  if (there !== undefined && !there.isDirectory()) {
    return { level: 'error', about: `${dir} is no directory.`, fix: 'Give the sink a directory as `path`.' };
  }
  const writable = there === undefined ? await existingParent(dir) : dir;
  const allowed = await access(writable, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!allowed) {
    return {
      level: 'error',
      about: `${writable} is not writable.`,
      fix: 'Give the process write access to it.',
    };
  }
  return { level: 'ok', about: there === undefined ? `${dir} will be made` : `${dir} is writable` };
}

async function existingParent(path: string): Promise<string> {
  const parent = dirname(path);
  const there = await stat(parent).catch(() => undefined);
  return there !== undefined || parent === path ? parent : existingParent(parent);
}
