import type { SinkConnector } from '../../src/delivery/sink.ts';
import { type NullConfig, type NullMapping, nullConfig, nullMapping } from './config.ts';
import { type NullRoute, NullSink, type NullSinkOptions } from './null-sink.ts';

/** Counts and drops: what Tailrace costs without a target. */
export const nullConnector: SinkConnector<NullConfig, NullMapping, NullRoute> = {
  type: 'null',
  config: nullConfig,
  mapping: nullMapping,
  capabilities: () => ({
    inFlight: 1,
    positioned: false,
    maxBatchEvents: 5_000,
    maxBatchBytes: 4 * 1024 * 1024,
    maxTransactionBytes: 4 * 1024 * 1024,
    lingerMs: 0,
    flushIntervalMs: 1000,
  }),
  async *check() {
    yield { level: 'ok', about: 'events are counted and dropped' };
  },
  create: (config, context) => new NullSink({ config, context, ...ofProcess }),
};

const ofProcess: Pick<NullSinkOptions, 'nowUs' | 'print'> = {
  nowUs: () => (performance.timeOrigin + performance.now()) * 1000,
  print: (line) => void process.stdout.write(line),
};
