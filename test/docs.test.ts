import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { absolute, GENERATED } from '../scripts/generate-docs.ts';

describe('generated pages', () => {
  test.each(GENERATED.map(({ path, render }) => [path, render] as const))(
    '%s is what npm run docs writes',
    async (path, render) => {
      expect(await readFile(absolute(path), 'utf8')).toBe(render());
    },
  );
});
