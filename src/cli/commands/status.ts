import pc from 'picocolors';
import type { PipelineStatus } from '../../observe/status.ts';
import { askAdmin } from '../admin-client.ts';
import { bytes, count, duration } from '../quantities.ts';
import { readConfig } from '../read-config.ts';

export async function status(flags: { readonly config: string; readonly json?: boolean }): Promise<void> {
  const config = await readConfig(flags.config);
  const response = await askAdmin(config, '/status');
  const answer = (await response.json()) as PipelineStatus;
  process.stdout.write(flags.json === true ? `${JSON.stringify(answer, null, 2)}\n` : render(answer));
}

/** A page for people. */
export function render(status: PipelineStatus): string {
  const { source, event_log: log } = status;
  const lines = [
    `${pc.bold(status.pipeline)}  ${state(status.state)}  since ${status.started_at}  tailrace ${status.version}`,
    ...errorLines(status.error),
    '',
    `source     ${source.connected ? pc.green('connected') : pc.red('not connected')}  ${source.database ?? ''}  slot ${source.slot}`,
    `           received ${source.received}  behind the server ${bytes(source.lag_bytes)}  confirmed ${source.confirmed}`,
    `           slot keeps ${bytes(source.retained_bytes ?? 0)} on the server` +
      (source.safe_wal_size_bytes === undefined
        ? ''
        : `, ${bytes(source.safe_wal_size_bytes)} until it is given up`) +
      (source.server_keeps_all
        ? ''
        : pc.yellow('  a sink is so far behind that only the event log keeps its changes')),
    `event log  ${bytes(log.bytes)} in ${log.segments} ${log.segments === 1 ? 'segment' : 'segments'}  on disk ${log.synced}  in memory ${log.appended}` +
      (log.full ? pc.red('  FULL') : ''),
    '',
    pc.dim(
      `${'sink'.padEnd(18)}${'type'.padEnd(15)}${'state'.padEnd(11)}${'behind'.padStart(10)}${'lag'.padStart(9)}${'events'.padStart(13)}${'retries'.padStart(9)}${'dead'.padStart(6)}`,
    ),
    ...status.sinks.flatMap((sink) => [
      `${sink.name.padEnd(18)}${sink.type.padEnd(15)}${state(sink.state, 11)}${bytes(sink.lag_bytes).padStart(10)}${duration(sink.lag_seconds).padStart(9)}` +
        `${count(sink.events).padStart(13)}${count(sink.retries).padStart(9)}${count(sink.dead_letters).padStart(6)}`,
      ...errorLines(sink.error),
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

function errorLines(error: PipelineStatus['error']): string[] {
  if (error === undefined) return [];
  const fix = error.fix === undefined ? [] : [`  fix: ${error.fix}`];
  return [pc.red(`  [${error.code}] ${error.message}`), ...fix];
}

function state(name: string, width = 0): string {
  const text = name.padEnd(width);
  if (name === 'streaming') return pc.green(text);
  return name === 'stopped' ? pc.red(text) : pc.yellow(text);
}
