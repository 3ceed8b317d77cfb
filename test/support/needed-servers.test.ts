import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { neededServers } from './needed-servers.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tailrace-imports-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function needs(name: string, files: Readonly<Record<string, string>>): Promise<readonly string[]> {
  for (const [file, text] of Object.entries(files)) {
    await writeFile(
      join(directory, file),
      text.replaceAll('support/', `${relative(directory, import.meta.dirname)}/`),
    );
  }
  return [...neededServers(join(directory, name), directory)].sort();
}

test('the suffix names a server', async () => {
  expect(await needs('a.test.ts', { 'a.test.ts': '' })).toEqual([]);
  expect(await needs('a.pg.test.ts', { 'a.pg.test.ts': '' })).toEqual(['postgres']);
  expect(await needs('a.kafka.test.ts', { 'a.kafka.test.ts': '' })).toEqual(['kafka']);
  expect(await needs('a.es.test.ts', { 'a.es.test.ts': '' })).toEqual(['elasticsearch']);
  expect(await needs('a.fault.test.ts', { 'a.fault.test.ts': '' })).toEqual([]);
});

test('so do imports of the support modules, direct and through other files, also in circles', async () => {
  const files = {
    'a.fault.test.ts': `import { rig } from './rig.ts';\nimport type { TestIndices } from 'support/elasticsearch.ts';`,
    'rig.ts': `import {\n  createTestTopics,\n} from 'support/kafka.ts';\nexport * from './back.ts';\nimport 'node:fs';`,
    'back.ts': `import './rig.ts';\nexport { createTestDatabase } from 'support/postgres.ts';`,
  };
  expect(await needs('a.fault.test.ts', files)).toEqual(['kafka', 'postgres']);
});

test('starting a server of its own needs none of the run', async () => {
  const files = { 'a.fault.test.ts': `import { startLocalPostgres } from 'support/local-postgres.ts';` };
  expect(await needs('a.fault.test.ts', files)).toEqual([]);
});
