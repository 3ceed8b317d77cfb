import { sqliteConnector } from '../../../connectors/sqlite/sqlite-connector.ts';
import { sinkContext } from '../batch-builder.ts';
import { Delivery } from '../deliver.ts';
import { seededTransactions, Workload } from '../workload.ts';
import { toMirror } from './mirror-harness.ts';

/** Writes the seeded workload into the mirror from where the mirror stands: path, seed, transactions. */
const [path = '', seed = '', count = ''] = process.argv.slice(2);
const signal = new AbortController().signal;
const { script } = new Workload(seededTransactions(Number(seed), Number(count)));
const sink = sqliteConnector.create(
  sqliteConnector.config.parse({ path }),
  sinkContext({ dataDir: '/nowhere' }),
);
const stored = await sink.open(signal);
const delivery = new Delivery(sink, [toMirror({ search: { columns: ['name'] } })]);
let after = stored?.position;
process.stdout.write(`opened ${stored?.endLsn ?? 0n}\n`);
for (let i = 0; after === undefined || after.commitLsn < script.end.position.commitLsn; i++) {
  // Some batches end inside a transaction.
  const cut = i % 3 === 0 ? { events: 1 + (i % 7) } : { transactions: 1 + (i % 4) };
  const { accepted, rejected } = await delivery.write(script, { after, ...cut });
  if (rejected.length > 0) throw new Error(`rejected: ${JSON.stringify(rejected)}`);
  after = accepted?.position;
  process.stdout.write(`wrote ${accepted?.endLsn}\n`);
}
if (after.seq < script.end.position.seq) await delivery.write(script, { after });
await sink.close();
process.stdout.write('done\n');
