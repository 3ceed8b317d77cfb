import type { Capabilities, SinkConnector } from '../../src/delivery/sink.ts';
import { checkKafka } from './check-kafka.ts';
import { type KafkaConfig, type KafkaMapping, kafkaConfig, kafkaMapping } from './config.ts';
import type { KafkaRoute } from './kafka-route.ts';
import { KafkaSink } from './kafka-sink.ts';

export const kafkaConnector: SinkConnector<KafkaConfig, KafkaMapping, KafkaRoute> = {
  type: 'kafka',
  config: kafkaConfig,
  mapping: kafkaMapping,
  capabilities: ({ batch, maxTransactionBytes, flushIntervalMs }): Capabilities => ({
    inFlight: 1,
    positioned: true,
    maxBatchEvents: batch.events,
    maxBatchBytes: batch.bytes,
    maxTransactionBytes,
    lingerMs: batch.lingerMs,
    flushIntervalMs,
  }),
  check: checkKafka,
  create: (config, context) => new KafkaSink(config, context),
};
