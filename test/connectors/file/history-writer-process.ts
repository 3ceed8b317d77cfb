import { fileConfig } from '../../../connectors/file/config.ts';
import { FileSink } from '../../../connectors/file/file-sink.ts';
import { sinkContext } from '../batch-builder.ts';
import { Delivery } from '../deliver.ts';
import { seededTransactions, Workload } from '../workload.ts';
import { StillClock, toFile } from './file-harness.ts';

/** Writes the seeded workload into a directory from where the directory stands: path, config, seed, transactions, whether to stay. */
const [path = '', config = '{}', seed = '', count = '', stay = ''] = process.argv.slice(2);
const { script } = new Workload(seededTransactions(Number(seed), Number(count)));
const sink = new FileSink(
  fileConfig.parse({ path, ...(JSON.parse(config) as object) }),
  sinkContext({ dataDir: '/nowhere', clock: new StillClock() }),
);
const stored = await sink.open();
const delivery = new Delivery(sink, [toFile({ records: 'key_value' })]);
let after = stored?.position;
process.stdout.write(`opened ${stored?.endLsn ?? 0n}\n`);
for (let i = 0; after === undefined || after.commitLsn < script.end.position.commitLsn; i++) {
  const cut = i % 3 === 0 ? { events: 1 + (i % 7) } : { transactions: 1 + (i % 4) };
  const { accepted, rejected } = await delivery.write(script, { after, ...cut });
  if (rejected.length > 0) throw new Error(`rejected: ${JSON.stringify(rejected)}`);
  after = accepted?.position;
  if (i % 5 === 4) await sink.flush();
  process.stdout.write(`wrote ${accepted?.endLsn}\n`);
}
if (after.seq < script.end.position.seq) await delivery.write(script, { after });
await sink.flush();
if (stay !== '') {
  process.stdout.write('staying\n');
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}
await sink.close();
process.stdout.write('done\n');
