import type * as FileSystem from 'node:fs/promises';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type DeadLetter, DeadLetterLog } from '../../src/delivery/dead-letters.ts';

const disk = vi.hoisted(() => ({ roomBytes: Number.POSITIVE_INFINITY }));

// A disk that takes part of what it is given: the one thing a test cannot ask of a real one without being root.
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof FileSystem>();
  return {
    ...real,
    open: async (...args: Parameters<typeof real.open>) => {
      const file = await real.open(...args);
      const append = file.appendFile.bind(file);
      file.appendFile = async (text) => {
        if (disk.roomBytes === Number.POSITIVE_INFINITY) return append(text);
        await append((text as string).slice(0, disk.roomBytes));
        throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
      };
      return file;
    },
  };
});

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tailrace-letters-'));
});

afterEach(async () => {
  disk.roomBytes = Number.POSITIVE_INFINITY;
  await rm(dir, { recursive: true });
});

function letter(seq: number): DeadLetter {
  return {
    sink: 'search',
    destination: 'orders',
    position: `0/1000:${seq}`,
    part: 0,
    table: 'public.orders',
    op: 'insert',
    reason: 'no',
    detail: 'never',
    at: '2026-01-01T00:00:00.000Z',
    event: { columns: ['id'], after: [String(seq)] },
  };
}

test('a letter that the disk took half of is not there; the next one is readable, now and after a restart', async () => {
  const letters = new DeadLetterLog({ dataDir: dir, sink: 'search' });
  await letters.add([letter(1)]);
  disk.roomBytes = 40;
  await expect(letters.add([letter(2)])).rejects.toMatchObject({ code: 'E_LOG_IO', retriable: true });
  expect(await letters.count()).toBe(1);
  disk.roomBytes = Number.POSITIVE_INFINITY;
  await letters.add([letter(2)]);
  const lines = (await readFile(letters.path, 'utf8')).trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as DeadLetter).position)).toEqual(['0/1000:1', '0/1000:2']);
  expect(await new DeadLetterLog({ dataDir: dir, sink: 'search' }).count()).toBe(2);
});
