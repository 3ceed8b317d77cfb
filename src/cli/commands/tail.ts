import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import pc from 'picocolors';
import { TablePattern } from '../../config/table-pattern.ts';
import { TailraceError } from '../../errors/tailrace-error.ts';
import { askAdmin } from '../admin-client.ts';
import { readConfig } from '../read-config.ts';

export interface TailFlags {
  readonly config: string;
  readonly table: readonly string[];
  readonly json?: boolean;
}

/** Until Ctrl-C, or until the pipeline ends. */
export async function tail(flags: TailFlags): Promise<void> {
  const config = await readConfig(flags.config);
  for (const pattern of flags.table) requirePattern(pattern);
  const query = new URLSearchParams(flags.table.map((pattern): [string, string] => ['table', pattern]));
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const response = await askAdmin(config, `/tail?${query}`, stop.signal);
  if (response.body === null) return;
  const lines = createInterface({ input: Readable.fromWeb(response.body as ReadableStream<Uint8Array>) });
  try {
    for await (const line of lines) {
      if (line === '') continue;
      if (!process.stdout.write(`${flags.json === true ? line : renderEvent(line)}\n`))
        await once(process.stdout, 'drain');
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
}

function requirePattern(text: string): void {
  try {
    TablePattern.parse(text);
  } catch (cause) {
    throw new TailraceError({
      code: 'E_USAGE',
      message: `--table ${text} is not a table or pattern.`,
      cause,
    });
  }
}

interface Envelope {
  readonly op: string;
  readonly before: Record<string, unknown> | null;
  readonly after: Record<string, unknown> | null;
  readonly source: {
    readonly schema: string;
    readonly table: string;
    readonly ts_ms: number;
    readonly txId: number | null;
  };
}

const OPERATIONS: Readonly<Record<string, (text: string) => string>> = {
  insert: pc.green,
  update: pc.yellow,
  delete: pc.red,
  truncate: pc.magenta,
  message: pc.blue,
  read: pc.cyan,
};
const NAMES: Readonly<Record<string, string>> = {
  c: 'insert',
  u: 'update',
  d: 'delete',
  t: 'truncate',
  m: 'message',
  r: 'read',
};

/** `14:03:11.042 update shop.orders  {...}`; the commit's time, in local time. */
export function renderEvent(line: string): string {
  const event = JSON.parse(line) as Envelope;
  const name = NAMES[event.op] ?? event.op;
  const at = new Date(event.source.ts_ms);
  const time = `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
  const row = event.after ?? event.before;
  return [
    pc.dim(time),
    (OPERATIONS[name] ?? String)(name.padEnd(8)),
    pc.bold(`${event.source.schema}.${event.source.table}`),
    row === null ? '' : JSON.stringify(row),
  ].join(' ');
}
