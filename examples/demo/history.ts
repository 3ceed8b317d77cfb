import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { type ChangeEvent, ChangeFold } from './change-fold.ts';

const VERBS: Readonly<Record<string, string>> = { c: 'insert', u: 'update', d: 'delete' };
const LAST_EVENTS = 5;

interface Followed {
  readBytes: number;
  lines: number;
  /** The beginning of a line whose end is not there yet. */
  rest: Buffer;
}

/** Follows the files of the change history while they are written. */
export class History {
  readonly #dir: string;
  readonly #files = new Map<string, Followed>();
  #last: readonly ChangeEvent[] = [];

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Lines in all files. */
  get events(): number {
    return [...this.#files.values()].reduce((sum, file) => sum + file.lines, 0);
  }

  /** Commit time of the newest event, milliseconds since 1970; undefined before the first. */
  get newestMs(): number | undefined {
    return this.#last.at(-1)?.source.ts_ms;
  }

  /** The newest events, oldest first, a line each. */
  lastEvents(): readonly string[] {
    return this.#last.map(({ op, source, before, after }) => {
      const verb = VERBS[op] ?? op;
      return `${verb.padEnd(6)} ${source.table.padEnd(11)} ${after === null ? known(before) : JSON.stringify(after)}`;
    });
  }

  /** Reads what has been written since the last time. */
  follow(): void {
    const fresh = filesOf(this.#dir).flatMap((name) => this.#read(name));
    // After a restart lines that were cut off come again.
    const events = new Map([...this.#last, ...fresh].map((event) => [positionOf(event), event]));
    this.#last = [...events.values()].sort(inOrder).slice(-LAST_EVENTS);
  }

  #read(name: string): readonly ChangeEvent[] {
    const file = openSync(join(this.#dir, name), 'r');
    try {
      const size = fstatSync(file).size;
      let followed = this.#files.get(name);
      // At a restart the file is cut back to what its position covers.
      if (followed === undefined || size < followed.readBytes) {
        followed = { readBytes: 0, lines: 0, rest: Buffer.alloc(0) };
        this.#files.set(name, followed);
      }
      const bytes = Buffer.alloc(size - followed.readBytes);
      const length = readSync(file, bytes, 0, bytes.length, followed.readBytes);
      followed.readBytes += length;
      const text = Buffer.concat([followed.rest, bytes.subarray(0, length)]);
      const end = text.lastIndexOf(0x0a) + 1;
      followed.rest = text.subarray(end);
      const lines = text.toString('utf8', 0, end).split('\n').slice(0, -1);
      followed.lines += lines.length;
      return lines.slice(-LAST_EVENTS).map((line) => JSON.parse(line) as ChangeEvent);
    } finally {
      closeSync(file);
    }
  }

  /** The whole history, read again from its beginning. */
  fold(): ChangeFold {
    const fold = new ChangeFold();
    for (const name of filesOf(this.#dir)) {
      for (const line of readFileSync(join(this.#dir, name), 'utf8').split('\n')) {
        if (line !== '') fold.add(JSON.parse(line) as ChangeEvent);
      }
    }
    return fold;
  }
}

/** Of a deleted row the server sends the key only. */
function known(before: ChangeEvent['before']): string {
  return JSON.stringify(
    Object.fromEntries(Object.entries(before ?? {}).filter(([, value]) => value !== null)),
  );
}

function filesOf(dir: string): readonly string[] {
  try {
    return readdirSync(dir).filter((name) => name.endsWith('.ndjson'));
  } catch {
    return [];
  }
}

function positionOf({ source }: ChangeEvent): string {
  return `${source.commit_lsn}/${source.seq}`;
}

function inOrder({ source: a }: ChangeEvent, { source: b }: ChangeEvent): number {
  return a.commit_lsn - b.commit_lsn || a.seq - b.seq;
}
