import { Runtime } from '../../app/runtime.ts';
import { TailraceError } from '../../errors/tailrace-error.ts';
import { createPinoLogger } from '../../observe/pino-logger.ts';
import { VERSION } from '../../version.ts';
import { readConfig } from '../read-config.ts';

export interface RunFlags {
  readonly config: string;
  readonly without: readonly string[];
}

/** The first signal drains, the second stops at once. */
export async function run(flags: RunFlags): Promise<void> {
  const config = await readConfig(flags.config);
  const logger = createPinoLogger({ ...config.log, stream: process.stderr, secrets: config.secrets });
  const drain = new AbortController();
  const kill = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (drain.signal.aborted) {
      kill.abort(
        new TailraceError({
          code: 'E_DRAIN',
          message: `Stopped at once by a second ${signal}; nothing is lost.`,
        }),
      );
      return;
    }
    logger.info({ signal }, 'stopping: delivering what has been read (the signal again stops at once)');
    drain.abort();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  logger.info({ version: VERSION, pipeline: config.pipeline, node: process.version }, 'tailrace starts');
  try {
    await using runtime = await Runtime.start({
      config,
      without: flags.without,
      logger,
      finish: () => drain.abort(),
    });
    await runtime.run({ drain: drain.signal, kill: kill.signal });
    logger.info({ pipeline: config.pipeline }, 'everything that was read is delivered and confirmed');
  } finally {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
  }
}
