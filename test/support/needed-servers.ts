import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ServerName, serverNames } from './servers.ts';

const supportDir = dirname(fileURLToPath(import.meta.url));
const testDir = dirname(supportDir);

const bySuffix: readonly (readonly [RegExp, ServerName])[] = [
  [/\.pg\.test\.ts$/, 'postgres'],
  [/\.kafka\.test\.ts$/, 'kafka'],
  [/\.es\.test\.ts$/, 'elasticsearch'],
];

const bySupportModule = new Map<string, ServerName>(
  serverNames.map((server) => [join(supportDir, `${server}.ts`), server]),
);

const importPattern = /^(?:import|export)\s(?!type\b)(?:[\w\s*{},$]*?from\s+)?['"](\.{1,2}\/[^'"]+)['"]/gm;

/**
 * A test file needs the server its suffix names and every one whose support module it imports, through other
 * files of test/ too.
 */
export function neededServers(testFile: string, followWithin = testDir): ReadonlySet<ServerName> {
  const needed = new Set<ServerName>();
  for (const [suffix, server] of bySuffix) if (suffix.test(testFile)) needed.add(server);
  const seen = new Set<string>();
  const open = [testFile];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    const server = bySupportModule.get(file);
    if (server !== undefined) needed.add(server);
    if (!file.startsWith(followWithin + sep) || !existsSync(file)) continue;
    for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(importPattern)) {
      open.push(resolve(dirname(file), specifier));
    }
  }
  return needed;
}
