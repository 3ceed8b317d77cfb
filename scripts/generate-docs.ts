import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { renderErrorReference } from './docs/error-reference.ts';
import { renderOptionReference } from './docs/option-reference.ts';

/** Pages that are written by `npm run docs`, and never by hand. */
export const GENERATED: readonly { readonly path: string; readonly render: () => string }[] = [
  { path: 'docs/options.md', render: renderOptionReference },
  { path: 'docs/errors.md', render: renderErrorReference },
];

export function absolute(path: string): string {
  return fileURLToPath(new URL(`../${path}`, import.meta.url));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { path, render } of GENERATED) {
    const text = render();
    const before = await readFile(absolute(path), 'utf8').catch(() => '');
    if (before === text) continue;
    await writeFile(absolute(path), text);
    process.stdout.write(`wrote ${path}\n`);
  }
}
