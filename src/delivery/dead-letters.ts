import { type FileHandle, mkdir, open, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { TailraceError } from '../errors/tailrace-error.ts';
import type { EventView } from '../events/change-event.ts';
import { formatPosition } from '../events/position.ts';
import type { Rejection } from './sink.ts';

/** One line of `<dir>/dead-letters/<sink>.ndjson`. Row values are in `event` only, as the server sent them. */
export interface DeadLetter {
  readonly sink: string;
  readonly destination: string;
  readonly position: string;
  readonly part: number;
  readonly table: string;
  readonly op: string;
  readonly reason: string;
  readonly detail: string;
  readonly at: string;
  readonly event: { readonly columns: readonly string[]; readonly before?: Row; readonly after?: Row };
}

type Row = readonly (string | null | { readonly unchanged: true } | { readonly captured: false })[];

export function deadLetterOf(
  sink: string,
  item: {
    readonly event: EventView;
    readonly route: { readonly destination: string };
    readonly part: number;
  },
  rejection: Rejection,
  nowMs: number,
): DeadLetter {
  const { event } = item;
  const before = event.beforeImage === 'none' ? undefined : row(event, 'before');
  const after = event.hasAfter ? row(event, 'after') : undefined;
  return {
    sink,
    destination: item.route.destination,
    position: formatPosition(event.position),
    part: item.part,
    table: `${event.relation.schema}.${event.relation.table}`,
    op: event.op,
    reason: rejection.reason,
    detail: rejection.detail,
    at: new Date(nowMs).toISOString(),
    event: {
      columns: event.relation.columns.map((column) => column.name),
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    },
  };
}

/** What stops a lane when its sink has refused events. Names them, and nothing of their rows. */
export function poison(sink: string, letters: readonly DeadLetter[], path: string): TailraceError {
  const first = letters[0];
  return new TailraceError({
    code: 'E_POISON',
    message:
      `Sink ${sink} refuses ${letters.length === 1 ? 'an event' : `${letters.length} events`} for good: ` +
      `${first?.op} on ${first?.table} at ${first?.position} into ${first?.destination}: ${first?.reason} (${first?.detail}).`,
    fix: `The event is in ${path}. Mend the target or the row's mapping, then start again: delivery goes on with this event.`,
  });
}

function row(event: EventView, side: 'before' | 'after'): Row {
  return event.relation.columns.map((_, i) => {
    switch (event.column(side, i)) {
      case 'value':
        return event.text();
      case 'unchanged':
        return { unchanged: true };
      case 'not-captured':
      case 'absent':
        return { captured: false };
      case 'null':
        return null;
    }
  });
}

/**
 * Events that a sink refuses for good, kept with what is needed to repair or send them again. A letter is durable before
 * the event counts as handled; the same event of the same sink is written once, however often it is met.
 */
export class DeadLetterLog {
  readonly #path: string;
  readonly #dir: string;
  readonly #sink: string;
  #known: Set<string> | undefined;

  constructor(options: { readonly dataDir: string; readonly sink: string }) {
    this.#sink = options.sink;
    this.#dir = join(options.dataDir, 'dead-letters');
    this.#path = join(this.#dir, `${encodeURIComponent(options.sink)}.ndjson`);
  }

  get path(): string {
    return this.#path;
  }

  /** Number of letters, reading the file the first time. */
  async count(): Promise<number> {
    return (await this.#load()).size;
  }

  /** Durable when resolved. Throws E_LOG_IO. */
  async add(letters: readonly DeadLetter[]): Promise<void> {
    const known = await this.#load();
    const fresh = letters.filter((letter) => !known.has(identity(letter)));
    if (fresh.length === 0) return;
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 });
      const file = await open(this.#path, 'a', 0o600);
      try {
        await appendWhole(file, fresh.map((letter) => `${JSON.stringify(letter)}\n`).join(''));
      } finally {
        await file.close();
      }
    } catch (cause) {
      throw this.#ioError('written', cause);
    }
    for (const letter of fresh) known.add(identity(letter));
  }

  async #load(): Promise<Set<string>> {
    if (this.#known !== undefined) return this.#known;
    const known = new Set<string>();
    try {
      const text = await readFile(this.#path, 'utf8');
      const whole = text.lastIndexOf('\n') + 1;
      // A torn last line was never acknowledged: its event comes again.
      if (whole < text.length) await truncate(this.#path, Buffer.byteLength(text.slice(0, whole)));
      for (const line of text.slice(0, whole).split('\n')) {
        if (line !== '') known.add(identity(JSON.parse(line) as DeadLetter));
      }
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw this.#ioError('read', cause);
    }
    this.#known = known;
    return known;
  }

  #ioError(verb: string, cause: unknown): TailraceError {
    return new TailraceError({
      code: 'E_LOG_IO',
      message: `The dead-letter log of sink ${this.#sink} cannot be ${verb} (${this.#path}).`,
      fix: 'Make the directory writable and give the disk some room.',
      cause,
      retriable: true,
    });
  }
}

/** All of it or nothing: behind half a line the next one would be unreadable. */
async function appendWhole(file: FileHandle, text: string): Promise<void> {
  const { size } = await file.stat();
  try {
    await file.appendFile(text);
    await file.sync();
  } catch (error) {
    await file.truncate(size);
    throw error;
  }
}

function identity(letter: DeadLetter): string {
  return `${letter.position} ${letter.part} ${letter.destination}`;
}
