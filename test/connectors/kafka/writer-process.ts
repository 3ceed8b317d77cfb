/**
 * A process of its own that delivers numbered events until all are there, to be killed on the way. Argument: JSON of WriterOptions.
 * Prints `writing` before each batch and `done` at the end.
 */
import { type NumberedOptions, numberedEvents } from './numbered-events.ts';
import { KafkaRig } from './rig.ts';

export interface WriterOptions {
  readonly brokers: readonly string[];
  readonly prefix: string;
  readonly config: Record<string, unknown>;
  readonly events: NumberedOptions;
  /** Source transactions in one batch. */
  readonly batchTransactions: number;
}

const options = JSON.parse(process.argv[2] ?? '') as WriterOptions;
const script = numberedEvents(options.events);
const rig = new KafkaRig({ ...options, mapping: { format: 'plain' } });
let at = await rig.open();
while (at === undefined || at.endLsn < script.end.endLsn) {
  process.stdout.write('writing\n');
  at = (await rig.deliver(script, { transactions: options.batchTransactions })).accepted;
  await rig.flush();
}
await rig[Symbol.asyncDispose]();
process.stdout.write('done\n');
