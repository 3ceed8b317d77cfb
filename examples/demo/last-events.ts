import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

const TAIL_BYTES = 32 * 1024;

interface Envelope {
  readonly op?: string;
  readonly before?: Record<string, unknown> | null;
  readonly after?: Record<string, unknown> | null;
  readonly source?: { readonly table?: string; readonly lsn?: number; readonly ts_ms?: number };
}

const VERBS: Readonly<Record<string, string>> = {
  c: 'insert',
  u: 'update',
  d: 'delete',
  t: 'truncate',
  r: 'read',
};

/** The newest Debezium events of the history's files, oldest first, a line each. */
export function lastEvents(dir: string, count: number): string[] {
  const events: { lsn: number; line: string }[] = [];
  for (const file of listFiles(dir)) {
    for (const text of tailLines(join(dir, file)).slice(-count)) {
      const event = parse(text);
      if (event?.source?.lsn === undefined) continue;
      const row = JSON.stringify(event.after ?? event.before ?? {});
      const verb = VERBS[event.op ?? ''] ?? event.op ?? '';
      events.push({
        lsn: event.source.lsn,
        line: `${verb.padEnd(6)} ${(event.source.table ?? '').padEnd(11)} ${row}`,
      });
    }
  }
  return events
    .sort((a, b) => a.lsn - b.lsn)
    .slice(-count)
    .map((event) => event.line);
}

function listFiles(dir: string): string[] {
  try {
    return readdirSync(dir).filter((name) => name.endsWith('.ndjson'));
  } catch {
    return [];
  }
}

/** Whole lines at the end of a file that is being written. */
function tailLines(path: string): string[] {
  const file = openSync(path, 'r');
  try {
    const size = fstatSync(file).size;
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES));
    readSync(file, bytes, 0, bytes.length, size - bytes.length);
    const lines = bytes.toString('utf8').split('\n');
    return lines.slice(size > bytes.length ? 1 : 0, -1);
  } finally {
    closeSync(file);
  }
}

function parse(text: string): Envelope | undefined {
  try {
    const value = JSON.parse(text) as Envelope & { value?: Envelope; payload?: Envelope };
    return value.value ?? value.payload ?? value;
  } catch {
    return undefined;
  }
}
