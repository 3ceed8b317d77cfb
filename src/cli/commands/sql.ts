import { grantsFor } from '../../app/source.ts';
import { readConfig } from '../read-config.ts';

export async function sql(flags: { readonly config: string; readonly role?: string }): Promise<void> {
  const config = await readConfig(flags.config);
  process.stdout.write(await grantsFor(config, flags.role, AbortSignal.timeout(30_000)));
}
