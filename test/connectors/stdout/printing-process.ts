import { stdoutConfig, stdoutMapping } from '../../../connectors/stdout/config.ts';
import { stdoutConnector } from '../../../connectors/stdout/stdout-connector.ts';
import { EventScript, mapping, relation, sinkContext } from '../batch-builder.ts';
import { Delivery } from '../deliver.ts';

/** Prints rows in batches until there are no more or the sink ends the run: rows, rows a batch, whether a run is there to be ended. */
const [rows = '', batch = '', run = ''] = process.argv.slice(2);
const t = relation({ table: 't', key: ['id'], columns: { id: 'int4', text: 'text' } });
const signal = new AbortController().signal;
let finished = false;
const sink = stdoutConnector.create(
  stdoutConfig.parse({}),
  sinkContext({
    dataDir: '/nowhere',
    ...(run === 'run' ? { finish: () => (finished = true) } : {}),
  }),
);
await sink.open(signal);
const delivery = new Delivery(sink, [
  mapping({ sink: 'out', options: stdoutMapping.parse({ format: 'plain' }) }),
]);
let written = 0;
try {
  while (written < Number(rows) && !finished) {
    const script = new EventScript();
    script.transaction((tx) => {
      for (let i = 0; i < Number(batch); i++) tx.insert(t, { id: String(written++), text: 'x'.repeat(100) });
    });
    await delivery.write(script);
    process.stderr.write(`${written} rss ${process.memoryUsage.rss()}\n`);
  }
  await sink.close();
  process.stderr.write(finished ? 'finished\n' : 'done\n');
} catch (error) {
  process.stderr.write(`${String((error as { code?: string }).code)} ${String(error)}\n`);
  process.exitCode = 5;
}
