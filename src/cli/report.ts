import { CommanderError } from 'commander';
import { ConfigError } from '../config/findings.ts';
import { ERROR_CODES } from '../errors/codes.ts';
import { asTailraceError } from '../errors/tailrace-error.ts';
import { masked } from './secrets.ts';

/** Says on standard error why the process ends; the status it ends with. */
export function report(thrown: unknown): number {
  // Commander has printed its own message (or the help) already.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : ERROR_CODES.E_USAGE.exit;
  const error = asTailraceError(thrown);
  const stack = error.code === 'E_INTERNAL' && error.cause instanceof Error ? error.cause.stack : undefined;
  const text = error instanceof ConfigError ? error.message : error.describe();
  process.stderr.write(masked(stack === undefined ? `${text}\n` : `${text}\n${stack}\n`));
  return error.exitCode;
}

/** A process that has lost track of itself ends, with a name for it: alive and not moving is worse. */
export function endOnStrayErrors(): void {
  const end = (thrown: unknown): void => {
    process.exit(report(thrown) || ERROR_CODES.E_INTERNAL.exit);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
}
