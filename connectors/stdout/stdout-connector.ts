import type { Writable } from 'node:stream';
import type { SinkConnector } from '../../src/delivery/sink.ts';
import { type StdoutConfig, type StdoutMapping, stdoutConfig, stdoutMapping } from './config.ts';
import { type StdoutRoute, StdoutSink } from './stdout-sink.ts';

export type StdoutConnector = SinkConnector<StdoutConfig, StdoutMapping, StdoutRoute>;

/** Lines of JSON on a stream, for pipes and eyes. */
export function createStdoutConnector(stream: Writable): StdoutConnector {
  return {
    type: 'stdout',
    config: stdoutConfig,
    mapping: stdoutMapping,
    capabilities: () => ({
      inFlight: 1,
      positioned: false,
      maxBatchEvents: 2_000,
      maxBatchBytes: 1024 * 1024,
      maxTransactionBytes: 1024 * 1024,
      lingerMs: 0,
      flushIntervalMs: 1000,
    }),
    async *check() {
      yield { level: 'ok', about: 'standard output' };
    },
    create: (_, context) => new StdoutSink(context, stream),
  };
}

export const stdoutConnector: StdoutConnector = createStdoutConnector(process.stdout);
