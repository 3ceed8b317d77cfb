import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pc from 'picocolors';
import { parseLsn } from '../../src/events/lsn.ts';
import { freePort } from '../../test/support/free-port.ts';
import { Connector, isStreaming } from './connector.ts';
import { History } from './history.ts';
import { Mirror } from './mirror.ts';
import { type DemoOptions, parseOptions, USAGE } from './options.ts';
import { isSuccess, type Report, renderReport, type Search } from './report.ts';
import { type Column, Screen } from './screen.ts';
import { SearchIndex } from './search-index.ts';
import { MissingServersError, type Servers, startServers } from './servers.ts';
import { countRows, openShop, type Shop, walEnd } from './shop.ts';
import { seed } from './shop-schema.ts';
import { Topics } from './topics.ts';
import { judge, type Place } from './verdict.ts';
import { watch } from './watch.ts';
import { Workload } from './workload.ts';

const START_MS = 30_000;
const CATCH_UP_MS = 60_000;
const SEARCH = 'oak lamp';
const INTERRUPTED = 130;

// kafkajs 2.2.4 asks for timers in the past (its issue 1751); Node runs them at once, as it should, and says so.
process.removeAllListeners('warning');
process.on('warning', ({ name, message }) => {
  if (name !== 'TimeoutNegativeWarning') process.stderr.write(`${name}: ${message}\n`);
});

const screen = new Screen(process.stdout);
const interrupted = new AbortController();
// The first asks for the verdict, or ends what has not begun; the second ends everything.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());

async function main(options: DemoOptions): Promise<number> {
  screen.say(
    `${pc.bold('Tailrace demo')}: a shop’s database into ${options.full ? 'four places at once' : 'a change history and a search index'}, live.\n`,
  );
  screen.say(
    options.full
      ? 'Starting PostgreSQL, Kafka and Elasticsearch (the first time 1 GB is fetched) ...'
      : 'Starting PostgreSQL ...',
  );
  await using servers = await startServers(options.full, (line) => screen.say(line));
  if (interrupted.signal.aborted) return INTERRUPTED;
  const dir = mkdtempSync(join(tmpdir(), `tailrace-demo-${process.pid}-`));
  let code = 1;
  try {
    code = await runShop(options, servers, dir);
  } finally {
    if (code === 0 && process.env['TAILRACE_DEMO_KEEP'] === undefined) rmSync(dir, { recursive: true });
    else screen.say(`  Files of this run: ${dir}\n`);
  }
  return code;
}

async function runShop(options: DemoOptions, servers: Servers, dir: string): Promise<number> {
  const file = options.full ? 'shop-full.yaml' : 'shop.yaml';
  const config = fileURLToPath(new URL(`../${file}`, import.meta.url));
  // On servers that others use too, names must be nobody else's.
  const borrowed = isBorrowed('TAILRACE_TEST_KAFKA_BROKERS') || isBorrowed('TAILRACE_TEST_ELASTICSEARCH_URL');
  const pipeline = options.full && borrowed ? `shop-${randomBytes(4).toString('hex')}` : 'shop';
  const env = {
    DATA_DIR: dir,
    PIPELINE: pipeline,
    ...(servers.kafka === undefined ? {} : { KAFKA_BROKERS: servers.kafka.address }),
    ...(servers.elasticsearch === undefined ? {} : { ELASTICSEARCH_URL: servers.elasticsearch.address }),
  };
  screen.say('Making the shop, and a role with the grants that tailrace sql prints ...');
  await using shop = await openShop(servers.postgres, config, env);
  const connector = new Connector({
    config,
    env: { ...env, DATABASE_URL: shop.connectorUrl },
    adminPort: await freePort(),
    logFile: join(dir, 'tailrace.log'),
  });
  const history = new History(join(dir, 'history'));
  const mirror = new Mirror(join(dir, 'search.db'));
  const index =
    servers.elasticsearch === undefined
      ? undefined
      : new SearchIndex(servers.elasticsearch.address, pipeline);
  const topics = servers.kafka === undefined ? undefined : new Topics(servers.kafka.address, pipeline);
  const workload = new Workload({ url: shop.url, clients: 4, rate: 250 });
  try {
    screen.say(`Starting Tailrace (examples/${file}) ...`);
    connector.start();
    await connector.until(isStreaming, START_MS);
    if (interrupted.signal.aborted) return INTERRUPTED;
    await seed(shop.client);
    topics?.start();
    workload.start();
    const columns = (): readonly Column[] => [
      { title: 'SQLite index', counts: mirror.counts(), mirrors: true },
      ...(index === undefined ? [] : [{ title: 'Elasticsearch', counts: index.counts(), mirrors: true }]),
      ...(topics === undefined ? [] : [{ title: 'Kafka records', counts: topics.counts(), mirrors: false }]),
    ];
    const kills = await watch({
      client: shop.client,
      connector,
      workload,
      history,
      columns,
      screen,
      totalSeconds: options.seconds,
      signal: interrupted.signal,
    });
    await workload.stop();
    screen.say('\nThe shop closes. Waiting for the last changes, then comparing everything ...');
    await settle(shop, connector);
    const exit = await connector.stop();
    await topics?.readToEnd();
    const report = await conclude({
      options,
      shop,
      mirror,
      history,
      index,
      topics,
      workload,
      kills,
      exit,
      dir,
    });
    for (const line of renderReport(report)) screen.say(line);
    return isSuccess(report) ? 0 : 1;
  } finally {
    await workload.stop();
    await connector.kill();
    if (borrowed) await Promise.allSettled([topics?.deleteTopics(), index?.deleteIndices()]);
    await Promise.allSettled([topics?.close(), index?.close()]);
  }
}

function isBorrowed(variable: string): boolean {
  return (process.env[variable] ?? '') !== '';
}

/** Until every sink has everything that has been committed. */
async function settle(shop: Shop, connector: Connector): Promise<void> {
  const end = await walEnd(shop.client);
  await connector.until(
    (status) =>
      isStreaming(status) &&
      parseLsn(status.source.received) >= end &&
      status.sinks.every((sink) => sink.state === 'streaming' && sink.lag_bytes === 0),
    CATCH_UP_MS,
  );
}

interface Finished {
  readonly options: DemoOptions;
  readonly shop: Shop;
  readonly mirror: Mirror;
  readonly history: History;
  readonly index: SearchIndex | undefined;
  readonly topics: Topics | undefined;
  readonly workload: Workload;
  readonly kills: number;
  readonly exit: string;
  readonly dir: string;
}

/** Nothing moves any more: the tables against every place they went to. */
async function conclude(finished: Finished): Promise<Report> {
  const { options, shop, mirror, history, index, topics, workload, kills, exit, dir } = finished;
  const lines = history.fold();
  const places: Place[] = [
    { title: 'SQLite index', form: 'text', rows: (table) => mirror.rows(table) },
    { title: 'History', form: 'json', rows: (table) => lines.rows(table), stream: lines },
  ];
  if (index !== undefined)
    places.push({ title: 'Elasticsearch', form: 'json', rows: (table) => index.rows(table) });
  if (topics !== undefined) {
    const { fold } = topics;
    places.push({ title: 'Kafka', form: 'json', rows: (table) => fold.rows(table), stream: fold });
  }
  const verdicts = [];
  for (const place of places) verdicts.push(await judge(shop.client, place));
  const searches: Search[] = [
    {
      about: `Search for “${SEARCH}” in the SQLite index:`,
      hits: mirror
        .search(SEARCH)
        .map(({ name, price, stock }) => `${name.padEnd(28)} ${price.padStart(8)}   ${stock} in stock`),
    },
  ];
  if (index !== undefined) {
    const hits = await index.search(SEARCH);
    searches.push({
      about: `Search for “${SEARCH}” in Elasticsearch:`,
      hits: hits.map(
        ({ name, price, score }) => `${name.padEnd(28)} ${price.padStart(8)}   score ${score.toFixed(2)}`,
      ),
    });
  }
  return {
    verdicts,
    sourceRows: await countRows(shop.client),
    transactions: workload.transactions,
    rolledBack: workload.rolledBack,
    kills,
    exit,
    searches,
    dir,
    full: options.full,
  };
}

const args = process.argv.slice(2);
const options = parseOptions(args);
if (options === undefined) {
  process.stdout.write(USAGE);
  process.exitCode = args.includes('--help') ? 0 : 2;
} else {
  try {
    process.exitCode = await main(options);
  } catch (error) {
    screen.say(
      error instanceof MissingServersError
        ? `\n${error.message}\n`
        : pc.red(`\n  ${error instanceof Error ? error.message : String(error)}\n`),
    );
    process.exitCode = 1;
  }
}
