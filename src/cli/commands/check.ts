import pc from 'picocolors';
import { checkPipeline, type PlacedFinding } from '../../app/check.ts';
import { systemClock } from '../../clock.ts';
import { readConfig } from '../read-config.ts';
import { masked } from '../secrets.ts';

/** What `tailrace check` exits with when it has found an error. */
const FOUND_ERRORS = 3;

export async function check(flags: { readonly config: string; readonly json?: boolean }): Promise<void> {
  const config = await readConfig(flags.config);
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const counts = { ok: 0, warning: 0, error: 0 };
  for await (const finding of checkPipeline({ config, clock: systemClock, signal: stop.signal })) {
    counts[finding.level]++;
    process.stdout.write(
      masked(flags.json === true ? `${JSON.stringify(finding)}\n` : renderFinding(finding)),
    );
  }
  if (flags.json !== true) {
    process.stdout.write(
      `\n${counts.ok} in order, ${counts.warning} ${counts.warning === 1 ? 'warning' : 'warnings'}, ${counts.error} ${counts.error === 1 ? 'error' : 'errors'}\n`,
    );
  }
  if (counts.error > 0) process.exitCode = FOUND_ERRORS;
}

const MARKS = { ok: pc.green('✓'), warning: pc.yellow('!'), error: pc.red('✗') } as const;

export function renderFinding({ level, where, about, fix }: PlacedFinding): string {
  const mend =
    fix === undefined
      ? ''
      : `${fix
          .split('\n')
          .map((line) => `      ${line}`)
          .join('\n')}\n`;
  return `${MARKS[level]} ${pc.dim(where.padEnd(12))} ${about}\n${mend}`;
}
