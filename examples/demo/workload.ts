import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { CUSTOMERS, PRODUCTS } from './shop-schema.ts';

export interface WorkloadOptions {
  readonly url: string;
  readonly clients: number;
  /** Transactions a second, all clients together. */
  readonly rate: number;
}

/** Customers at work: overlapping transactions of several statements, some of them rolled back. */
export class Workload {
  transactions = 0;
  rolledBack = 0;
  readonly #options: WorkloadOptions;
  readonly #stop = new AbortController();
  #lives: Promise<void>[] = [];

  constructor(options: WorkloadOptions) {
    this.#options = options;
  }

  start(): void {
    this.#lives = Array.from({ length: this.#options.clients }, () => this.#live());
  }

  /** Lets every client finish its transaction. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#lives);
  }

  async #live(): Promise<void> {
    const client = new Client({ connectionString: this.#options.url });
    await client.connect();
    const pauseMs = (1000 * this.#options.clients) / this.#options.rate;
    try {
      let nextMs = performance.now();
      while (!this.#stop.signal.aborted) {
        // When two customers want the same rows at once, the server may pick a victim, as in life.
        const committed = await act(client).catch(async () => {
          await client.query('ROLLBACK');
          return false;
        });
        if (committed) this.transactions++;
        else this.rolledBack++;
        nextMs = Math.max(nextMs + pauseMs, performance.now() - 1000);
        await sleep(Math.max(0, nextMs - performance.now()), undefined, { signal: this.#stop.signal }).catch(
          () => {},
        );
      }
    } finally {
      await client.end();
    }
  }
}

/** False: it was rolled back. */
async function act(client: Client): Promise<boolean> {
  const dice = Math.random();
  if (dice >= 0.97) {
    await changeMind(client);
    return false;
  }
  if (dice < 0.45) await placeOrder(client);
  else if (dice < 0.75) await advanceOrder(client);
  else if (dice < 0.85) await changePrice(client);
  else if (dice < 0.93) await moveHouse(client);
  else await cancelOrder(client);
  return true;
}

async function placeOrder(client: Client): Promise<void> {
  const lines = 1 + Math.floor(Math.random() * 4);
  await client.query('BEGIN');
  const order = await client.query<{ id: string }>(
    'INSERT INTO shop.orders (customer_id, total) VALUES ($1, 0) RETURNING id',
    [any(CUSTOMERS)],
  );
  const id = order.rows[0]?.id;
  // In one order by product, so that two baskets cannot wait for each other in a circle.
  const products = Array.from({ length: lines }, () => any(PRODUCTS)).sort((a, b) => a - b);
  for (const [i, product] of products.entries()) {
    await client.query(
      `WITH sold AS (UPDATE shop.products SET stock = stock - 1, updated_at = now() WHERE id = $3 RETURNING price)
       INSERT INTO shop.order_lines SELECT $1, $2, $3, $4, price FROM sold`,
      [id, i + 1, product, 1 + Math.floor(Math.random() * 3)],
    );
  }
  await client.query(
    'UPDATE shop.orders SET total = (SELECT sum(quantity * unit_price) FROM shop.order_lines WHERE order_id = $1) WHERE id = $1',
    [id],
  );
  await client.query('COMMIT');
}

async function advanceOrder(client: Client): Promise<void> {
  await client.query(
    `UPDATE shop.orders SET
       status = CASE status WHEN 'new' THEN 'paid' WHEN 'paid' THEN 'packed' WHEN 'packed' THEN 'shipped' ELSE 'delivered' END::shop.order_status,
       shipped_at = CASE status WHEN 'packed' THEN now() ELSE shipped_at END
     WHERE id = (SELECT id FROM shop.orders WHERE status < 'delivered' ORDER BY random() LIMIT 1)`,
  );
}

async function changePrice(client: Client): Promise<void> {
  await client.query(
    'UPDATE shop.products SET price = round(price * (0.95 + random()::numeric * 0.1), 2) + 0.01, updated_at = now() WHERE id = $1',
    [any(PRODUCTS)],
  );
}

async function moveHouse(client: Client): Promise<void> {
  await client.query(
    `UPDATE shop.customers SET city = (SELECT city FROM shop.customers WHERE id = $2), preferences = preferences || '{"moved": true}' WHERE id = $1`,
    [any(CUSTOMERS), any(CUSTOMERS)],
  );
}

async function cancelOrder(client: Client): Promise<void> {
  await client.query(
    `DELETE FROM shop.orders WHERE id = (SELECT id FROM shop.orders WHERE status = 'new' ORDER BY random() LIMIT 1)`,
  );
}

/** A basket that is left at the till: nothing of it may ever be seen downstream. */
async function changeMind(client: Client): Promise<void> {
  await client.query('BEGIN');
  await client.query('INSERT INTO shop.orders (customer_id, total) VALUES ($1, 9999)', [any(CUSTOMERS)]);
  await client.query('ROLLBACK');
}

function any(count: number): number {
  return 1 + Math.floor(Math.random() * count);
}
