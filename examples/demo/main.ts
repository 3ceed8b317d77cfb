import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import pc from 'picocolors';
import { freePort } from '../../test/support/free-port.ts';
import { startLocalPostgres } from '../../test/support/local-postgres.ts';
import { TailraceProcess } from '../../test/support/tailrace-process.ts';
import { lastEvents } from './last-events.ts';
import { number, Screen } from './screen.ts';
import { SCHEMA, seed } from './shop-schema.ts';
import { compare, countIndexRows, isClean, MIRRORED, PINNED, search, type TableVerdict } from './verdict.ts';
import { Workload } from './workload.ts';

const SECONDS = 20;
const KILL_AT_SECONDS = 8;
const FRAME_MS = 250;
const CATCH_UP_MS = 30_000;
const SEARCH = 'oak lamp';

const screen = new Screen(process.stdout);
const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());

async function main(): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), 'tailrace-demo-'));
  screen.say(
    `${pc.bold('Tailrace demo')}: a shop’s database into a change history and a search index, live.`,
  );
  screen.say('Starting PostgreSQL ...');
  await using postgres = await startLocalPostgres();
  const client = new Client({ connectionString: postgres.url, options: PINNED });
  await client.connect();
  await client.query(SCHEMA);

  const connector = new TailraceProcess({
    config: fileURLToPath(new URL('../shop.yaml', import.meta.url)),
    env: { DATABASE_URL: postgres.url, DATA_DIR: dir },
    adminPort: await freePort(),
    logFile: join(dir, 'tailrace.log'),
  });
  const index = join(dir, 'search.db');
  const workload = new Workload({ url: postgres.url, clients: 4, rate: 250 });
  try {
    screen.say('Starting Tailrace (examples/shop.yaml) ...');
    connector.start();
    await connector.streaming(20_000);
    await seed(client);
    workload.start();
    await watch({ client, connector, workload, index, historyDir: join(dir, 'history') });
    await workload.stop();
    screen.say('The shop closes. Waiting for the last changes ...');
    const verdicts = await settle(client, connector, index);
    const exitCode = await connector.stop();
    return report(verdicts, { workload, connector, index, dir, exitCode });
  } finally {
    await workload.stop();
    await connector.kill();
    await client.end();
    if (process.env['TAILRACE_DEMO_KEEP'] === undefined)
      process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  }
}

interface Watched {
  readonly client: Client;
  readonly connector: TailraceProcess;
  readonly workload: Workload;
  readonly index: string;
  readonly historyDir: string;
}

/** Shows what happens until the time is up or Ctrl-C; kills the connector on the way. */
async function watch({ client, connector, workload, index, historyDir }: Watched): Promise<void> {
  const startedMs = performance.now();
  let killed = false;
  let note = '';
  let eventsBefore = 0;
  let eventsOfEarlierRuns = 0;
  let eventsOfThisRun = 0;
  let lastFrameMs = startedMs;
  while (!interrupted.signal.aborted) {
    const elapsedSeconds = (performance.now() - startedMs) / 1000;
    if (elapsedSeconds >= SECONDS) return;
    if (!killed && elapsedSeconds >= KILL_AT_SECONDS) {
      killed = true;
      const pid = connector.pid;
      await connector.kill();
      eventsOfEarlierRuns += eventsOfThisRun;
      eventsOfThisRun = 0;
      connector.start();
      note = `killed process ${pid} with SIGKILL, started it again`;
    }
    const status = await connector.status();
    const history = status?.sinks.find((sink) => sink.name === 'history');
    eventsOfThisRun = history?.events ?? eventsOfThisRun;
    const events = eventsOfEarlierRuns + eventsOfThisRun;
    const nowMs = performance.now();
    const counted = countIndexRows(index);
    screen.draw({
      elapsedSeconds,
      totalSeconds: SECONDS,
      state: status?.state ?? 'down',
      eventsPerSecond: Math.max(0, ((events - eventsBefore) * 1000) / (nowMs - lastFrameMs)),
      events,
      lagMs: Math.round(Math.max(0, ...(status?.sinks.map((sink) => sink.lag_seconds * 1000) ?? [0]))),
      transactions: workload.transactions,
      rolledBack: workload.rolledBack,
      tables: await sourceCounts(client, counted),
      lastEvents: lastEvents(historyDir, 5),
      note,
    });
    eventsBefore = events;
    lastFrameMs = nowMs;
    await sleep(FRAME_MS, undefined, { signal: interrupted.signal }).catch(() => {});
  }
}

async function sourceCounts(
  client: Client,
  index: ReadonlyMap<string, number>,
): Promise<{ name: string; source: number; index: number }[]> {
  const counts = MIRRORED.map(
    ({ table }) => `SELECT '${table}' AS name, count(*)::int AS source FROM shop.${table}`,
  );
  const { rows } = await client.query<{ name: string; source: number }>(counts.join(' UNION ALL '));
  return rows.map((row) => ({ ...row, index: index.get(row.name) ?? 0 }));
}

/** Compares until source and index agree, or patience ends. */
async function settle(
  client: Client,
  connector: TailraceProcess,
  index: string,
): Promise<readonly TableVerdict[]> {
  const deadlineMs = performance.now() + CATCH_UP_MS;
  for (;;) {
    const status = await connector.status();
    const caughtUp = status !== undefined && status.sinks.every((sink) => sink.lag_bytes === 0);
    const verdicts = caughtUp ? await compare(client, index) : undefined;
    if (verdicts !== undefined && (isClean(verdicts) || performance.now() > deadlineMs)) return verdicts;
    if (performance.now() > deadlineMs) throw new Error('Tailrace did not catch up in 30 s');
    await sleep(100);
  }
}

interface Outcome {
  readonly workload: Workload;
  readonly connector: TailraceProcess;
  readonly index: string;
  readonly dir: string;
  readonly exitCode: number | null;
}

function report(verdicts: readonly TableVerdict[], outcome: Outcome): number {
  const clean = isClean(verdicts) && outcome.exitCode === 0;
  screen.say('');
  for (const verdict of verdicts) {
    const wrong = verdict.missing + verdict.surplus + verdict.different;
    const mark = wrong === 0 ? pc.green('✓') : pc.red('✗');
    const detail =
      wrong === 0
        ? 'every row equal'
        : `${verdict.missing} missing, ${verdict.surplus} surplus, ${verdict.different} different`;
    screen.say(`  ${mark} ${verdict.table.padEnd(12)} ${number(verdict.rows).padStart(8)} rows  ${detail}`);
  }
  screen.say('');
  screen.say(`  Search for “${SEARCH}” in the index:`);
  for (const hit of search(outcome.index, SEARCH)) {
    screen.say(`    ${hit.name.padEnd(28)} ${hit.price.padStart(8)}   ${hit.stock} in stock`);
  }
  screen.say('');
  const transactions = number(outcome.workload.transactions);
  screen.say(
    clean
      ? pc.green(
          `  Source and index are equal, row by row, after ${transactions} transactions and one SIGKILL.`,
        )
      : pc.red(
          `  Source and index differ (exit code of Tailrace: ${outcome.exitCode}); its log: ${outcome.dir}/tailrace.log`,
        ),
  );
  screen.say(`
  Try next:
    npm run demo -- --full                       the same with real Kafka and Elasticsearch
    npm run tailrace -- sql --config FILE        the grants Tailrace needs on your database
    npm run tailrace -- check --config FILE      looks at everything, changes nothing
    npm run tailrace -- run --config FILE        examples/ holds files to begin with
`);
  return clean ? 0 : 1;
}

process.exitCode = await main();
