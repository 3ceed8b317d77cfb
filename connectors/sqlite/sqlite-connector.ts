import type { SinkConnector } from '../../src/delivery/sink.ts';
import { checkSqlite } from './check-sqlite.ts';
import { type SqliteConfig, type SqliteMapping, sqliteConfig, sqliteMapping } from './config.ts';
import type { SqliteRoute } from './pack-batch.ts';
import { SqliteSink } from './sqlite-sink.ts';

/** Mirror tables in a SQLite file, exactly once: position and rows move in one transaction. */
export const sqliteConnector: SinkConnector<SqliteConfig, SqliteMapping, SqliteRoute> = {
  type: 'sqlite',
  config: sqliteConfig,
  mapping: sqliteMapping,
  capabilities: () => ({
    inFlight: 1,
    positioned: true,
    maxBatchEvents: 5_000,
    maxBatchBytes: 8 * 1024 * 1024,
    maxTransactionBytes: 64 * 1024 * 1024,
    lingerMs: 0,
    flushIntervalMs: 1000,
  }),
  check: checkSqlite,
  create: (config, context) => new SqliteSink(config, context),
};
