import type { SinkConnector } from '../../src/delivery/sink.ts';
import { checkElasticsearch } from './check.ts';
import {
  configSchema,
  type ElasticsearchConfig,
  type ElasticsearchMapping,
  mappingSchema,
} from './config.ts';
import type { ElasticsearchRoute } from './documents/route.ts';
import { ElasticsearchSink } from './elasticsearch-sink.ts';

/** A transaction above this is cut into pieces; of one below, every document is written once. */
const MAX_TRANSACTION_BYTES = 64 * 1024 * 1024;
/** What is repeated after a crash: two seconds of operations whose versions are stored already. */
const FLUSH_INTERVAL_MS = 2_000;

export const elasticsearchConnector: SinkConnector<
  ElasticsearchConfig,
  ElasticsearchMapping,
  ElasticsearchRoute
> = {
  type: 'elasticsearch',
  config: configSchema,
  mapping: mappingSchema,
  capabilities: ({ in_flight, bulk }) => ({
    inFlight: in_flight,
    positioned: true,
    maxBatchEvents: bulk.actions,
    maxBatchBytes: bulk.bytes,
    maxTransactionBytes: MAX_TRANSACTION_BYTES,
    lingerMs: 0,
    flushIntervalMs: FLUSH_INTERVAL_MS,
  }),
  check: checkElasticsearch,
  create: (config, context) => new ElasticsearchSink(config, context),
};
