import { globSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { runToEnd } from './service-cache.ts';

const root = resolve(import.meta.dirname, '../..');

/** Static imports that survive type stripping or not, and dynamic ones. */
const importPattern = /(?:^(?:import|export)\s[\w\s*{},$]*?(?:from\s+)?|\bimport\()'([^']+)'/gm;

interface Manifest {
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;

test('what is shipped imports only what is installed with it', () => {
  const strangers = new Set<string>();
  for (const file of globSync('{src,connectors}/**/*.ts', { cwd: root })) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, specifier = ''] of text.matchAll(importPattern)) {
      if (specifier.startsWith('.') || isBuiltin(specifier)) continue;
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
      if (!(name in manifest.dependencies)) strangers.add(`${file}: ${specifier}`);
    }
  }
  expect([...strangers]).toEqual([]);
});

test('the built program runs outside the checkout', { timeout: 60_000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tailrace-packaging-'));
  try {
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const project = join(root, 'tsconfig.build.json');
    const outDir = join(directory, 'dist');
    const built = await runToEnd(process.execPath, [compiler, '-p', project, '--outDir', outDir]);
    expect(built).toEqual({ code: 0, output: '' });
    await cp(join(root, 'package.json'), join(directory, 'package.json'));
    await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
    const program = join(directory, manifest.bin['tailrace'] ?? '');
    expect(await readFile(program, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
    const version = await runToEnd(process.execPath, [program, '--version'], { cwd: directory });
    expect(version).toEqual({ code: 0, output: `${manifest.version}\n` });
    const schema = await runToEnd(process.execPath, [program, 'schema'], { cwd: directory });
    expect(JSON.parse(schema.output)).toHaveProperty('properties.sinks');
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
