import pc from 'picocolors';

/** A place the rows go to, and what it holds of each table. */
export interface Column {
  readonly title: string;
  readonly counts: ReadonlyMap<string, number>;
  /** Rows, which should be as many as in the source; else records, which are more. */
  readonly mirrors: boolean;
}

export interface Frame {
  readonly elapsedSeconds: number;
  readonly totalSeconds: number;
  readonly state: string;
  readonly eventsPerSecond: number;
  readonly events: number;
  /** Age of the newest change that has arrived; undefined before the first. */
  readonly lagMs: number | undefined;
  readonly transactions: number;
  readonly rolledBack: number;
  readonly tables: readonly string[];
  readonly source: ReadonlyMap<string, number>;
  readonly columns: readonly Column[];
  readonly lastEvents: readonly string[];
  readonly note: string;
}

const SECONDS_BETWEEN_LINES = 2;

/** Redraws in place on a terminal; elsewhere writes a line every few seconds. */
export class Screen {
  readonly #out: NodeJS.WriteStream;
  readonly #live: boolean;
  #drawn = 0;
  #lastLineSecond = Number.NEGATIVE_INFINITY;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    this.#live = out.isTTY && process.env['CI'] === undefined;
  }

  say(line: string): void {
    this.#drawn = 0;
    this.#out.write(`${line}\n`);
  }

  draw(frame: Frame): void {
    if (this.#live) this.#redraw(renderFrame(frame, this.#out.columns ?? 80));
    else this.#line(frame);
  }

  /** In one write, each line overwritten and its rest erased: nothing flickers. */
  #redraw(lines: readonly string[]): void {
    const up = this.#drawn === 0 ? '' : `\x1b[${this.#drawn}A`;
    this.#out.write(`${up}${lines.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`);
    this.#drawn = lines.length;
  }

  #line(frame: Frame): void {
    if (frame.elapsedSeconds - this.#lastLineSecond < SECONDS_BETWEEN_LINES) return;
    this.#lastLineSecond = frame.elapsedSeconds;
    const { columns, source, tables } = frame;
    const sum = (counts: ReadonlyMap<string, number>): string =>
      number(tables.reduce((total, table) => total + (counts.get(table) ?? 0), 0));
    this.#out.write(
      `${String(Math.floor(frame.elapsedSeconds)).padStart(3)} s  ${frame.state.padEnd(10)} ${rate(frame).padStart(6)} events/s  lag ${lag(frame)}  ` +
        `rows: ${sum(source)} PostgreSQL${columns.map(({ title, counts }) => `, ${sum(counts)} ${title}`).join('')}\n`,
    );
  }
}

/** The lines of a frame, none wider than `width`. */
export function renderFrame(frame: Frame, width: number): readonly string[] {
  const { elapsedSeconds, totalSeconds, tables, source, columns } = frame;
  const progress = `${Math.min(totalSeconds, Math.floor(elapsedSeconds))} of ${totalSeconds} s`;
  const cell = (text: string): string => text.padStart(15);
  return [
    '',
    `  ${bar(elapsedSeconds / totalSeconds, 32)}  ${progress.padEnd(12)} ${state(frame.state)}`,
    '',
    `  ${pc.bold(rate(frame).padStart(6))} events/s ${pc.bold(number(frame.events).padStart(9))} events   lag ${pc.bold(lag(frame).padStart(7))}   ` +
      pc.dim(`${number(frame.transactions)} transactions`),
    '',
    pc.dim(
      `  ${'table'.padEnd(12)}${['PostgreSQL', ...columns.map(({ title }) => title)].map(cell).join('')}`,
    ),
    ...tables.map((table) => {
      const rows = source.get(table) ?? 0;
      const cells = columns.map(({ counts, mirrors }) => {
        const count = counts.get(table) ?? 0;
        const text = cell(number(count));
        if (!mirrors) return text;
        return count === rows ? pc.green(text) : pc.yellow(text);
      });
      return `  ${table.padEnd(12)}${cell(number(rows))}${cells.join('')}`;
    }),
    '',
    ...frame.lastEvents.map((event) => pc.dim(cut(`  ${event}`, width - 1))),
    '',
    pc.yellow(cut(`  ${frame.note}`, width - 1)),
  ];
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

function bar(part: number, width: number): string {
  const done = Math.round(Math.min(1, part) * width);
  return pc.cyan('━'.repeat(done)) + pc.dim('─'.repeat(width - done));
}

function state(name: string): string {
  return name === 'streaming' ? pc.green(`● ${name}`) : pc.yellow(`○ ${name}`);
}

function rate(frame: Frame): string {
  return number(frame.eventsPerSecond);
}

function lag({ lagMs }: Frame): string {
  if (lagMs === undefined) return '–';
  return lagMs < 1000 ? `${Math.round(lagMs)} ms` : `${(lagMs / 1000).toFixed(1)} s`;
}

export function number(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
