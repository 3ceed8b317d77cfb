import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { type Connector, isStreaming } from './connector.ts';
import type { History } from './history.ts';
import type { Column, Screen } from './screen.ts';
import { seconds } from './servers.ts';
import { countRows } from './shop.ts';
import { TABLES } from './shop-tables.ts';
import type { Workload } from './workload.ts';

const FRAME_MS = 250;
const RATE_WINDOW_MS = 2000;
/** When the connector is killed, as a part of the time. */
const KILL_AT = 0.4;

export interface Watched {
  readonly client: Client;
  readonly connector: Connector;
  readonly workload: Workload;
  readonly history: History;
  readonly columns: () => readonly Column[];
  readonly screen: Screen;
  readonly totalSeconds: number;
  readonly signal: AbortSignal;
}

/** Shows what happens until the time is up or the signal comes; kills the connector on the way. Returns how often. */
export async function watch(watched: Watched): Promise<number> {
  const { client, connector, workload, history, columns, screen, totalSeconds, signal } = watched;
  const rate = new Rate();
  const startedMs = performance.now();
  const kill = new Kill(connector);
  let events = 0;
  while (!signal.aborted) {
    const elapsedSeconds = (performance.now() - startedMs) / 1000;
    if (elapsedSeconds >= totalSeconds) break;
    if (elapsedSeconds >= KILL_AT * totalSeconds) await kill.once();
    const status = await connector.status();
    if (isStreaming(status)) kill.isBack();
    history.follow();
    // Lines that were cut off at the restart come again: the count stands still meanwhile.
    events = Math.max(events, history.events);
    const { newestMs } = history;
    screen.draw({
      elapsedSeconds,
      totalSeconds,
      state: isStreaming(status) ? 'streaming' : kill.done ? 'restarting' : 'starting',
      eventsPerSecond: rate.next(events),
      events,
      lagMs: newestMs === undefined ? undefined : Math.max(0, Date.now() - newestMs),
      transactions: workload.transactions,
      rolledBack: workload.rolledBack,
      tables: TABLES.map(({ name }) => name),
      source: await countRows(client),
      columns: columns(),
      lastEvents: history.lastEvents(),
      note: kill.note,
    });
    await sleep(FRAME_MS, undefined, { signal }).catch(() => {});
  }
  return kill.done ? 1 : 0;
}

/** Events a second over the last moments. */
class Rate {
  #samples: (readonly [atMs: number, events: number])[] = [];

  next(events: number): number {
    const nowMs = performance.now();
    this.#samples = [...this.#samples.filter(([atMs]) => nowMs - atMs < RATE_WINDOW_MS), [nowMs, events]];
    const [firstMs, first] = this.#samples[0] ?? [nowMs, events];
    return nowMs === firstMs ? 0 : ((events - first) * 1000) / (nowMs - firstMs);
  }
}

/** SIGKILL, a new process, and how long that took. */
class Kill {
  note = '';
  readonly #connector: Connector;
  #killedMs: number | undefined;
  #what = '';
  #back = false;

  constructor(connector: Connector) {
    this.#connector = connector;
  }

  get done(): boolean {
    return this.#killedMs !== undefined;
  }

  async once(): Promise<void> {
    if (this.done) return;
    this.#what = `Killed Tailrace (SIGKILL, process ${this.#connector.pid})`;
    this.#killedMs = performance.now();
    await this.#connector.kill();
    this.#connector.start();
    this.note = `${this.#what} and started it again ...`;
  }

  isBack(): void {
    if (this.#killedMs === undefined || this.#back) return;
    this.#back = true;
    this.note = `${this.#what}: streaming again after ${seconds(performance.now() - this.#killedMs)}.`;
  }
}
