import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { FileMapping } from '../../../connectors/file/config.ts';
import { fileConfig, fileMapping } from '../../../connectors/file/config.ts';
import { parseRotatedName } from '../../../connectors/file/file-name.ts';
import type { FileRoute } from '../../../connectors/file/file-sink.ts';
import { FileSink } from '../../../connectors/file/file-sink.ts';
import type { Clock } from '../../../src/clock.ts';
import type { Mapping, SinkContext } from '../../../src/delivery/sink.ts';
import type { Checkpoint } from '../../../src/events/position.ts';
import { mapping, sinkContext } from '../batch-builder.ts';
import { Delivery } from '../deliver.ts';

export const signal = new AbortController().signal;

export interface OpenDirectory {
  readonly sink: FileSink;
  readonly delivery: Delivery<FileRoute>;
  readonly stored: Checkpoint | undefined;
}

/** Time that stands still until it is moved: lines written twice are then equal. */
export class StillClock implements Clock {
  ms = 1_760_000_000_000;
  nowMs(): number {
    return this.ms;
  }
  monotonicMs(): number {
    return this.ms;
  }
  async sleep(ms: number): Promise<void> {
    this.ms += ms;
  }
}

/** A directory for file sinks. */
export class Directory implements AsyncDisposable {
  readonly dir: string;
  readonly clock = new StillClock();
  readonly #sinks: FileSink[] = [];

  constructor(dir = mkdtempSync(join(tmpdir(), 'tailrace-file-'))) {
    this.dir = dir;
  }

  async open(
    config: object = {},
    mappings: readonly Mapping[] = [toFile()],
    context: Partial<SinkContext> = {},
  ): Promise<OpenDirectory> {
    const sink = new FileSink(
      fileConfig.parse({ path: this.dir, ...config }),
      sinkContext({ dataDir: this.dir, clock: this.clock, ...context }),
    );
    this.#sinks.push(sink);
    const stored = await sink.open();
    return { sink, delivery: new Delivery(sink, mappings), stored };
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  read(name: string): string {
    return readFileSync(this.path(name), 'utf8');
  }

  lines(name: string): Record<string, unknown>[] {
    return parseLines(this.read(name));
  }

  /** What the sink has written, without what it keeps for itself. */
  files(): string[] {
    return readdirSync(this.dir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
      .map((entry) => join(entry.parentPath, entry.name).slice(this.dir.length + 1))
      .sort();
  }

  /** The whole text of a file, those put aside before it included. */
  history(name: string): string {
    const files = this.files();
    const aside = files
      // Compressed, and the plain form not yet removed.
      .filter((file) => !files.includes(`${file}.gz`))
      .map((file) => ({ file, of: parseRotatedName(file.replace(/\.gz$/, '')) }))
      .filter(({ of }) => of?.name === name)
      .sort((a, b) => (a.of?.number ?? 0) - (b.of?.number ?? 0))
      .map(({ file }) => {
        const bytes = readFileSync(this.path(file));
        return file.endsWith('.gz') ? gunzipSync(bytes).toString() : bytes.toString();
      });
    return aside.join('') + (this.files().includes(name) ? this.read(name) : '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sink of this.#sinks) await sink.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export function parseLines(text: string): Record<string, unknown>[] {
  if (text !== '' && !text.endsWith('\n')) throw new Error(`Not whole lines: ${text.slice(-80)}`);
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

export function toFile(options: Parameters<typeof fileMapping.parse>[0] = {}): Mapping<FileMapping> {
  return mapping({ sink: 'history', options: fileMapping.parse(options) });
}
