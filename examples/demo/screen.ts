import pc from 'picocolors';

export interface Frame {
  readonly elapsedSeconds: number;
  readonly totalSeconds: number;
  readonly state: string;
  readonly eventsPerSecond: number;
  readonly events: number;
  readonly lagMs: number;
  readonly transactions: number;
  readonly rolledBack: number;
  readonly tables: readonly { readonly name: string; readonly source: number; readonly index: number }[];
  readonly lastEvents: readonly string[];
  readonly note: string;
}

/** Redraws in place on a terminal; elsewhere writes a line every few seconds. */
export class Screen {
  readonly #out: NodeJS.WriteStream;
  readonly #live: boolean;
  #drawn = 0;
  #lastLineSecond = -100;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    this.#live = out.isTTY && process.env['CI'] === undefined;
  }

  say(line: string): void {
    this.#drawn = 0;
    this.#out.write(`${line}\n`);
  }

  draw(frame: Frame): void {
    if (this.#live) this.#redraw(frame);
    else this.#line(frame);
  }

  #redraw(frame: Frame): void {
    const width = Math.max(40, (this.#out.columns ?? 80) - 2);
    const lines = [
      '',
      `  ${bar(frame.elapsedSeconds / frame.totalSeconds, 24)} ${Math.floor(frame.elapsedSeconds)} of ${frame.totalSeconds} s   ${state(frame.state)}  ${frame.note}`,
      `  ${pc.bold(`${number(frame.eventsPerSecond)} events/s`)}   ${number(frame.events)} events   lag ${frame.lagMs} ms   ${number(frame.transactions)} transactions (${frame.rolledBack} rolled back)`,
      '',
      `  ${pc.dim('table'.padEnd(14))}${pc.dim('PostgreSQL'.padStart(12))}${pc.dim('index'.padStart(12))}`,
      ...frame.tables.map((table) => {
        const index = number(table.index).padStart(12);
        return `  ${table.name.padEnd(14)}${number(table.source).padStart(12)}${table.index === table.source ? pc.green(index) : pc.yellow(index)}`;
      }),
      '',
      ...frame.lastEvents.map((event) => `  ${pc.dim(event.slice(0, width))}`),
      '',
    ];
    const up = this.#drawn === 0 ? '' : `\x1b[${this.#drawn}A\x1b[J`;
    this.#out.write(`${up}${lines.join('\n')}\n`);
    this.#drawn = lines.length;
  }

  #line(frame: Frame): void {
    if (frame.elapsedSeconds - this.#lastLineSecond < 2) return;
    this.#lastLineSecond = frame.elapsedSeconds;
    const rows = (side: 'source' | 'index'): number =>
      frame.tables.reduce((sum, table) => sum + table[side], 0);
    this.#out.write(
      `${String(Math.floor(frame.elapsedSeconds)).padStart(3)} s  ${frame.state.padEnd(12)} ${number(frame.eventsPerSecond).padStart(7)} events/s  lag ${frame.lagMs} ms  ` +
        `${number(frame.transactions)} transactions  rows ${number(rows('source'))} in PostgreSQL, ${number(rows('index'))} in the index  ${frame.note}\n`,
    );
  }
}

function bar(part: number, width: number): string {
  const done = Math.round(Math.min(1, part) * width);
  return pc.cyan('━'.repeat(done)) + pc.dim('━'.repeat(width - done));
}

function state(name: string): string {
  return name === 'streaming' ? pc.green(name) : pc.yellow(name);
}

export function number(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
