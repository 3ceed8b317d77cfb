import { readFileSync } from 'node:fs';

/** From package.json, which stands one level above the sources and two above the built files. */
export const VERSION: string = readVersion(['../package.json', '../../package.json']);

function readVersion(candidates: readonly string[]): string {
  for (const candidate of candidates) {
    try {
      const text = readFileSync(new URL(candidate, import.meta.url), 'utf8');
      const { name, version } = JSON.parse(text) as { name?: string; version?: string };
      if (name === 'tailrace' && version !== undefined) return version;
    } catch {
      // The next candidate.
    }
  }
  return 'unknown';
}
