import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Markdown files that a reader of the project meets, relative to its root. */
export function pages(): readonly string[] {
  const below = (dir: string): string[] =>
    readdirSync(join(ROOT, dir), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.md'))
      .map((path) => join(dir, path));
  return ['README.md', 'CHANGELOG.md', ...below('docs'), ...below('connectors'), ...below('examples')].sort();
}

export function read(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8');
}

export interface Block {
  readonly page: string;
  /** Of the fence. */
  readonly line: number;
  readonly text: string;
}

/** Fenced blocks of a language. */
export function blocks(page: string, language: string): readonly Block[] {
  const found: Block[] = [];
  let open: { readonly line: number; readonly ours: boolean; readonly text: string[] } | undefined;
  for (const [i, line] of read(page).split('\n').entries()) {
    const fence = /^\s*```(\w*)/.exec(line);
    if (fence === null) open?.text.push(line);
    else if (open === undefined) open = { line: i + 1, ours: fence[1] === language, text: [] };
    else {
      if (open.ours) found.push({ page, line: open.line, text: `${open.text.join('\n')}\n` });
      open = undefined;
    }
  }
  return found;
}

/** Text without what stands in fences and between backticks. */
export function prose(page: string): string {
  return read(page)
    .replaceAll(/^\s*```[^]*?^\s*```/gm, '')
    .replaceAll(/`[^`\n]*`/g, '');
}

/** Anchors of a page's headings, as GitHub makes them. */
export function anchors(page: string): ReadonlySet<string> {
  const headings = read(page)
    .replaceAll(/^\s*```[^]*?^\s*```/gm, '')
    .matchAll(/^#{1,6} +(.+?) *$/gm);
  const seen = new Map<string, number>();
  return new Set(
    [...headings].map(([, heading = '']) => {
      const anchor = heading
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-');
      const before = seen.get(anchor) ?? 0;
      seen.set(anchor, before + 1);
      return before === 0 ? anchor : `${anchor}-${before}`;
    }),
  );
}
