import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { neededServers } from './needed-servers.ts';
import type { ServerName, Servers } from './servers.ts';

/** Leaves out the files whose server cannot be had; they are named at the end of the run. */
export class RunSequence extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const servers: Servers = this.ctx.getRootProject().getProvidedContext().servers ?? {};
    const leftOut = leftOutFiles(
      files.map(({ moduleId }) => moduleId),
      servers,
    );
    return super.sort(files.filter(({ moduleId }) => !leftOut.has(moduleId)));
  }
}

export function leftOutFiles(files: readonly string[], servers: Servers): ReadonlyMap<string, ServerName> {
  const leftOut = new Map<string, ServerName>();
  for (const file of files) {
    for (const name of neededServers(file)) if (servers[name]?.state === 'left-out') leftOut.set(file, name);
  }
  return leftOut;
}
