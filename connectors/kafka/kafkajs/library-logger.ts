import type { InternalLogger } from 'kafkajs/src/network/connection.js';
import type { Logger } from '../../../src/observe/logger.ts';

/** Fields that name places and numbers; payloads and whatever else a version may add stay out. */
const SHOWN = ['broker', 'correlationId', 'size', 'retryCount', 'retryTime', 'ssl', 'sasl'] as const;

/** What kafkajs logs as an error also reaches us as one, and is told with more context there: here it is all for debugging. */
export function libraryLogger(logger: Logger, namespace = 'kafkajs'): InternalLogger {
  const log = (message: string, extra: object = {}): void => {
    const fields = extra as Readonly<Record<string, unknown>>;
    const shown = SHOWN.filter((name) => fields[name] !== undefined).map((name) => [name, fields[name]]);
    logger.debug({ library: namespace, ...Object.fromEntries(shown) }, message);
  };
  return {
    namespace: (name) => libraryLogger(logger, `kafkajs/${name}`),
    debug: log,
    info: log,
    warn: log,
    error: log,
  };
}
