import { Client } from 'pg';

/**
 * Concurrent writers whose committed changes are known exactly. Every row carries `n`, how often it has been changed: so the
 * history of a key must read 0, 1, 2, ... without a gap, a repeat or a swap, and what it must end with is in the table.
 */
export const SCHEMA = `
  CREATE TABLE accounts (id int PRIMARY KEY, n int NOT NULL, owner text NOT NULL, balance numeric(12,2) NOT NULL, note text);
  CREATE TABLE entries (account int NOT NULL, line int NOT NULL, n int NOT NULL, payload jsonb NOT NULL, PRIMARY KEY (account, line));
`;

export const TABLES = ['accounts', 'entries'] as const;
export type Table = (typeof TABLES)[number];

const KEYS = 60;
const LINES = 5;

export type Change = { readonly op: 'c' | 'u' | 'd'; readonly n: number };

export interface TrafficOptions {
  readonly url: string;
  readonly writers: number;
  /** Printed with a failing test: the choices of writer i come from seed + i. */
  readonly seed: number;
}

export class Traffic {
  transactions = 0;
  rolledBack = 0;
  /** Committed changes per `table/key`, by writer; several writers change the same keys. */
  readonly committed = new Map<string, Change[]>();
  readonly #options: TrafficOptions;
  #stopped = false;
  #writers: Promise<void>[] = [];

  constructor(options: TrafficOptions) {
    this.#options = options;
  }

  start(): void {
    this.#writers = Array.from({ length: this.#options.writers }, (_, i) =>
      this.#write(this.#options.seed + i),
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#writers);
  }

  async #write(seed: number): Promise<void> {
    const random = mulberry32(seed);
    const client = new Client({ connectionString: this.#options.url });
    await client.connect();
    try {
      while (!this.#stopped) await this.#transaction(client, random);
    } finally {
      await client.end();
    }
  }

  async #transaction(client: Client, random: () => number): Promise<void> {
    const pending: { key: string; change: Change }[] = [];
    await client.query('BEGIN');
    try {
      const statements = 1 + Math.floor(random() * 6);
      for (let i = 0; i < statements; i++) await change(client, random, pending);
      if (random() < 0.15) {
        // A subtransaction that is rolled back leaves nothing, its outer one stays.
        await client.query('SAVEPOINT s');
        await change(client, random, []);
        await client.query('ROLLBACK TO SAVEPOINT s');
      }
    } catch {
      // Deadlocks and unique violations between writers that overlap: as in life.
      await client.query('ROLLBACK');
      this.rolledBack++;
      return;
    }
    if (random() < 0.1) {
      await client.query('ROLLBACK');
      this.rolledBack++;
      return;
    }
    await client.query('COMMIT');
    this.transactions++;
    for (const { key, change: made } of pending) {
      const known = this.committed.get(key);
      if (known === undefined) this.committed.set(key, [made]);
      else known.push(made);
    }
  }
}

/** A life of a row ends with its delete; the next one begins above every `n` used before, so that all changes of a key are ordered by `n`. */
async function change(
  client: Client,
  random: () => number,
  pending: { key: string; change: Change }[],
): Promise<void> {
  const id = Math.floor(random() * KEYS);
  const line = Math.floor(random() * LINES);
  const dice = random();
  const accounts = random() < 0.5;
  const key = accounts ? `accounts/${id}` : `entries/${id}/${line}`;
  const where = accounts ? `id = ${id}` : `account = ${id} AND line = ${line}`;
  const table = accounts ? 'accounts' : 'entries';
  // Locks the key, so that the next number is known, also when the row is not there.
  await client.query('SELECT pg_advisory_xact_lock(hashtext($1))', [key]);
  const next = await client.query<{ n: number }>(
    'INSERT INTO counters AS c VALUES ($1, 0) ON CONFLICT (key) DO UPDATE SET n = c.n + 1 RETURNING n',
    [key],
  );
  const n = next.rows[0]?.n ?? 0;
  const found = await client.query(`SELECT 1 FROM ${table} WHERE ${where}`);
  if (found.rowCount === 0) {
    await client.query(
      accounts
        ? `INSERT INTO accounts VALUES (${id}, ${n}, 'owner ${id} "é"', ${(random() * 1000).toFixed(2)}, NULL)`
        : `INSERT INTO entries VALUES (${id}, ${line}, ${n}, '{"by": "writer", "tags": ["a", "b"]}')`,
    );
    pending.push({ key, change: { op: 'c', n } });
  } else if (dice < 0.8) {
    const set = accounts
      ? `balance = balance + 1.25, note = repeat('x', ${Math.floor(random() * 200)})`
      : `payload = payload || '{"n": ${n}}'`;
    await client.query(`UPDATE ${table} SET n = ${n}, ${set} WHERE ${where}`);
    pending.push({ key, change: { op: 'u', n } });
  } else {
    await client.query(`DELETE FROM ${table} WHERE ${where}`);
    pending.push({ key, change: { op: 'd', n } });
  }
}

/** Numbers per key; not published. */
export const COUNTERS = 'CREATE TABLE counters (key text PRIMARY KEY, n int NOT NULL)';

/** A small generator with a seed: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
