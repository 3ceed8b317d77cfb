import type { SinkConnector } from '../../src/delivery/sink.ts';
import { checkFile } from './check-file.ts';
import { type FileConfig, type FileMapping, fileConfig, fileMapping } from './config.ts';
import { type FileRoute, FileSink } from './file-sink.ts';

/** Lines of JSON in files, exactly once: after a crash the files are cut back to the position stored beside them. */
export const fileConnector: SinkConnector<FileConfig, FileMapping, FileRoute> = {
  type: 'file',
  config: fileConfig,
  mapping: fileMapping,
  capabilities: () => ({
    inFlight: 1,
    positioned: true,
    maxBatchEvents: 2_500,
    maxBatchBytes: 4 * 1024 * 1024,
    maxTransactionBytes: 64 * 1024 * 1024,
    lingerMs: 0,
    flushIntervalMs: 1000,
  }),
  check: checkFile,
  create: (config, context) => new FileSink(config, context),
};
