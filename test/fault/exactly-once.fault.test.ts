import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createTestIndices } from '../support/elasticsearch.ts';
import { freePort } from '../support/free-port.ts';
import { createTestTopics } from '../support/kafka.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { TailraceProcess } from '../support/tailrace-process.ts';
import { waitFor } from '../support/wait.ts';
import { checkHistory, type SeenChange } from './history-check.ts';
import { COUNTERS, mulberry32, SCHEMA, TABLES, Traffic } from './traffic.ts';

const SECONDS = 30;
const KILLS = 10;
const WRITERS = 8;

test(`${WRITERS} writers for ${SECONDS} s, ${KILLS} SIGKILLs: every sink holds every committed change once, in order`, async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  process.stdout.write(`seed ${seed}\n`);
  await using database = await createTestDatabase({ create: true, setup: `${SCHEMA};${COUNTERS}` });
  await using topics = await createTestTopics();
  await using indices = await createTestIndices();
  const dir = await mkdtemp(join(tmpdir(), 'tailrace-fault-'));
  await grant(database);
  const config = join(dir, 'tailrace.yaml');
  await writeFile(
    config,
    configuration(database, topics.brokers.join(','), topics.prefix, indices.url, indices.prefix),
  );
  await using tailrace = new TailraceProcess({
    config,
    env: {},
    adminPort: await freePort(),
    logFile: join(dir, 'tailrace.log'),
  });

  tailrace.start();
  await tailrace.streaming(30_000);
  const traffic = new Traffic({ url: database.adminUrl, writers: WRITERS, seed });
  traffic.start();
  const random = mulberry32(seed);
  for (let kill = 0; kill < KILLS; kill++) {
    await sleep((SECONDS * 1000 * (0.5 + random())) / KILLS);
    await tailrace.kill();
    tailrace.start();
  }
  await tailrace.streaming(30_000);
  await traffic.stop();
  const { rows } = await database.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn');
  await waitFor(
    async () => {
      const status = await tailrace.status();
      return (
        status !== undefined &&
        status.source.lag_bytes === 0 &&
        status.sinks.length === 4 &&
        status.sinks.every((sink) => sink.state === 'streaming' && sink.lag_bytes === 0) &&
        (await isPast(database, status.source.received, rows[0]?.lsn ?? ''))
      );
    },
    { timeoutMs: 60_000, describe: () => 'every sink to have everything' },
  );
  expect(await tailrace.stop(), await readFile(join(dir, 'tailrace.log'), 'utf8')).toBe(0);

  expect(traffic.transactions).toBeGreaterThan(500);
  const kafka = await kafkaHistory(topics);
  expect(checkHistory(traffic.committed, kafka).problems, 'Kafka, read_committed').toEqual([]);
  expect(checkHistory(traffic.committed, await fileHistory(join(dir, 'files'))).problems, 'file').toEqual([]);
  for (const table of TABLES) {
    const wanted = await tableRows(database, table);
    expect(await indexRows(indices, table), `index of ${table}`).toEqual(wanted);
    expect(mirrorRows(join(dir, 'mirror.db'), table), `mirror of ${table}`).toEqual(wanted);
  }
  await rm(dir, { recursive: true });
}, 240_000);

function configuration(
  database: TestDatabase,
  brokers: string,
  topicPrefix: string,
  elasticsearch: string,
  indexPrefix: string,
): string {
  const to = (table: string): string => `
    to:
      - { sink: events, topic: "${topicPrefix}${table}" }
      - { sink: search, index: "${indexPrefix}${table}" }
      - files
      - mirror`;
  return `
pipeline: ${database.name}
source: { url: "${database.url}" }
event_log: { dir: log }
sinks:
  events: { type: kafka, brokers: ["${brokers}"], exactly_once: true, positions_topic: "${topicPrefix}positions", topics: { partitions: 3 } }
  search: { type: elasticsearch, url: "${elasticsearch}", positions_index: "${indexPrefix}positions" }
  files: { type: file, path: files }
  mirror: { type: sqlite, path: mirror.db }
tables:
  public.accounts:${to('accounts')}
  public.entries:${to('entries')}
admin: { port: "\${ADMIN_PORT}" }
log: { format: json }
`;
}

/** What \`tailrace sql\` prints for tables of this owner, but for the publication: a superuser owns the tables. */
async function grant(database: TestDatabase): Promise<void> {
  await database.query(`
    GRANT SELECT ON accounts, entries TO ${database.role};
    ALTER TABLE accounts OWNER TO ${database.role};
    ALTER TABLE entries OWNER TO ${database.role}`);
}

async function isPast(database: TestDatabase, received: string, lsn: string): Promise<boolean> {
  const { rows } = await database.query<{ past: boolean }>('SELECT $1::pg_lsn >= $2::pg_lsn AS past', [
    received,
    lsn,
  ]);
  return rows[0]?.past === true;
}

interface Envelope {
  readonly op: string;
  readonly before: Row | null;
  readonly after: Row | null;
  readonly source: { readonly table: string };
}
type Row = Readonly<Record<string, unknown>> & { readonly n?: number };

function seen(envelope: Envelope): SeenChange {
  const row = envelope.after ?? envelope.before ?? {};
  const { table } = envelope.source;
  const key =
    table === 'accounts'
      ? `accounts/${String(row['id'])}`
      : `entries/${String(row['account'])}/${String(row['line'])}`;
  return { key, op: envelope.op, n: row.n };
}

async function kafkaHistory(topics: Awaited<ReturnType<typeof createTestTopics>>): Promise<SeenChange[]> {
  const records = (await Promise.all(TABLES.map((table) => topics.read(topics.name(table))))).flat();
  return records.flatMap((record) =>
    record.value === null ? [] : [seen(JSON.parse(record.value.toString('utf8')) as Envelope)],
  );
}

async function fileHistory(dir: string): Promise<SeenChange[]> {
  const files = (await readdir(dir)).filter((name) => name.endsWith('.ndjson'));
  const texts = await Promise.all(files.map((file) => readFile(join(dir, file), 'utf8')));
  return texts.flatMap((text) =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => seen(JSON.parse(line) as Envelope)),
  );
}

const COLUMNS = {
  accounts: ['id', 'n', 'owner', 'balance', 'note'],
  entries: ['account', 'line', 'n', 'payload'],
} as const;

/** Rows as text, one line each, sorted: the same shape for every holder. */
function lines(rows: readonly Readonly<Record<string, unknown>>[], columns: readonly string[]): string[] {
  const text = (value: unknown): string => {
    if (value === null || value === undefined) return 'NULL';
    return typeof value === 'string' ? value : JSON.stringify(value);
  };
  return rows.map((row) => columns.map((column) => text(row[column])).join('|')).sort();
}

async function tableRows(database: TestDatabase, table: (typeof TABLES)[number]): Promise<string[]> {
  const columns = COLUMNS[table];
  const { rows } = await database.query(
    `SELECT ${columns.map((column) => `${column}::text`).join(', ')} FROM ${table}`,
  );
  return lines(rows.map(normalized), columns);
}

async function indexRows(
  indices: Awaited<ReturnType<typeof createTestIndices>>,
  table: (typeof TABLES)[number],
): Promise<string[]> {
  const documents = await indices.documents(indices.name(table));
  return lines(
    [...documents.values()].map((document) => normalized(document.source)),
    COLUMNS[table],
  );
}

function mirrorRows(path: string, table: (typeof TABLES)[number]): string[] {
  using mirror = new DatabaseSync(path, { readOnly: true });
  return lines((mirror.prepare(`SELECT * FROM ${table}`).all() as Row[]).map(normalized), COLUMNS[table]);
}

/** JSON by its meaning: the index keeps it as an object, the others as the server's text. */
function normalized(row: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { payload } = row;
  if (payload === undefined) return { ...row };
  const value: unknown = typeof payload === 'string' ? JSON.parse(payload) : payload;
  return {
    ...row,
    payload: JSON.stringify(Object.entries(value as object).sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}
