import { type DestinationStream, pino } from 'pino';
import pretty from 'pino-pretty';
import { TailraceError } from '../errors/tailrace-error.ts';
import type { Logger } from './logger.ts';
import { secretMask } from './mask-secrets.ts';

export interface PinoLoggerOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** auto: readable when `stream` is a terminal. */
  readonly format: 'auto' | 'json' | 'pretty';
  readonly stream: NodeJS.WriteStream | (NodeJS.WritableStream & { readonly isTTY?: boolean });
  /** Texts that never appear in the log, whatever they are part of. */
  readonly secrets?: ReadonlySet<string> | undefined;
}

/**
 * One JSON object a line, or lines for people on a terminal. Standard output is left to the stdout sink.
 */
export function createPinoLogger(options: PinoLoggerOptions): Logger {
  const readable =
    options.format === 'pretty' || (options.format === 'auto' && options.stream.isTTY === true);
  const destination: DestinationStream = readable
    ? pretty({
        destination: options.stream,
        colorize: options.stream.isTTY === true && process.env['NO_COLOR'] === undefined,
        ignore: 'pid,hostname,err',
        translateTime: 'SYS:HH:MM:ss.l',
        sync: true,
      })
    : options.stream;
  return pino(
    {
      level: options.level,
      base: null,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError },
      hooks: { streamWrite: secretMask(options.secrets) },
    },
    destination,
  ) as Logger;
}

/** Codes, messages and causes; the fields client libraries hang on their errors may hold rows and credentials, and are left out. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = error instanceof TailraceError ? error.code : (error as NodeJS.ErrnoException).code;
  return {
    type: error.name,
    ...(code === undefined ? {} : { code }),
    message: error.message,
    ...(error instanceof TailraceError && error.code !== 'E_INTERNAL' ? {} : { stack: error.stack }),
    ...(error instanceof TailraceError && error.fix !== undefined ? { fix: error.fix } : {}),
    ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
  };
}
