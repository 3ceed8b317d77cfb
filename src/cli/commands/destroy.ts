import { createInterface } from 'node:readline/promises';
import { dropServerObjects, slotNameOf } from '../../app/source.ts';
import { TailraceError } from '../../errors/tailrace-error.ts';
import { readConfig } from '../read-config.ts';

/** Positions in sinks and the event log stay: without the slot they are of no use to a new pipeline, and say so. */
export async function destroy(flags: { readonly config: string; readonly yes?: boolean }): Promise<void> {
  const config = await readConfig(flags.config);
  if (flags.yes !== true) await confirm(slotNameOf(config));
  for await (const line of dropServerObjects(config, AbortSignal.timeout(60_000)))
    process.stdout.write(`${line}\n`);
  process.stdout.write(`To begin anew, empty ${config.eventLog.dir} and the sinks.\n`);
}

async function confirm(slot: string): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new TailraceError({
      code: 'E_USAGE',
      message: 'Not dropped: nobody is there to confirm.',
      fix: 'tailrace destroy --yes',
    });
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(
    `Drop slot ${slot}? Changes that sinks do not have yet are lost for them. Type its name: `,
  );
  terminal.close();
  if (answer.trim() !== slot)
    throw new TailraceError({ code: 'E_USAGE', message: 'Not dropped: that is another name.' });
}
