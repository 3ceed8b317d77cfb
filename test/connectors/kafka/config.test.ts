import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { kafkaConfig, kafkaMapping } from '../../../connectors/kafka/config.ts';
import { kafkaConnector } from '../../../connectors/kafka/kafka-connector.ts';

const problemsOf = (schema: z.ZodType, given: unknown): string[] => {
  const { error } = schema.safeParse(given);
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
};

describe('the options of a sink', () => {
  test('brokers are enough', () => {
    const config = kafkaConfig.parse({ brokers: ['kafka-1:9092', '[::1]:9092'] });
    expect(config).toMatchObject({
      tls: undefined,
      compression: 'none',
      exactlyOnce: false,
      transactionTimeoutMs: 60_000,
      topics: { create: true, partitionChange: 'keep', config: {} },
      positionsTopic: 'tailrace-positions',
      batch: { lingerMs: 0, partitionBytes: 500 * 1024 },
    });
    expect(kafkaConnector.capabilities(config)).toEqual({
      inFlight: 1,
      positioned: true,
      maxBatchEvents: 10_000,
      maxBatchBytes: 8 * 1024 * 1024,
      maxTransactionBytes: 64 * 1024 * 1024,
      lingerMs: 0,
      flushIntervalMs: 1000,
    });
  });

  test('topic settings are text for Kafka', () => {
    const { topics } = kafkaConfig.parse({
      brokers: ['k:1'],
      topics: { config: { 'retention.ms': 1000, 'unclean.leader.election.enable': false } },
    });
    expect(topics.config).toEqual({ 'retention.ms': '1000', 'unclean.leader.election.enable': 'false' });
  });

  test.each<[unknown, string]>([
    [{}, 'brokers'],
    [{ brokers: [] }, 'brokers'],
    [{ brokers: ['kafka'] }, 'brokers.0: expected host:port'],
    [{ brokers: ['k:1'], compresion: 'zstd' }, 'compresion'],
    [{ brokers: ['k:1'], compression: 'snappy' }, 'compression'],
    [{ brokers: ['k:1'], tls: { cert: 'c.pem' } }, 'tls: cert and key go together'],
    [{ brokers: ['k:1'], sasl: { mechanism: 'gssapi', username: 'u', password: 'p' } }, 'sasl.mechanism'],
    [
      { brokers: ['k:1'], transactional_id: 'x' },
      'transactional_id: has no meaning without exactly_once: true',
    ],
    [{ brokers: ['k:1'], positions_topic: 'a/b' }, 'positions_topic: a topic name holds'],
    [{ brokers: ['k:1'], transaction_timeout: '0s' }, 'transaction_timeout'],
  ])('%j is refused', (given, problem) => {
    expect(problemsOf(kafkaConfig, given).join('\n')).toContain(problem);
  });

  test('every option is described, and the schema can be exported for editors', () => {
    const schema = z.toJSONSchema(kafkaConfig, { io: 'input' }) as JsonSchema;
    expect(undescribed(schema)).toEqual([]);
  });
});

describe('the options of a mapping', () => {
  test('have Debezium as default', () => {
    expect(kafkaMapping.parse({})).toMatchObject({
      topic: '{pipeline}.{schema}.{table}',
      format: 'debezium',
    });
  });

  test.each<[unknown, string]>([
    [{ topic: '{tabel}' }, 'topic'],
    [{ topic: 'a b' }, 'topic: a topic name holds'],
    [{ format: 'plain', schemas_enable: true }, 'schemas_enable'],
    [{ partition: 3 }, 'partition'],
  ])('%j is refused', (given, problem) => {
    expect(problemsOf(kafkaMapping, given).join('\n')).toContain(problem);
  });
});

interface JsonSchema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly anyOf?: readonly JsonSchema[];
}

function undescribed(schema: JsonSchema, path = ''): string[] {
  return [
    ...Object.entries(schema.properties ?? {}).flatMap(([name, property]) => [
      ...(property.description === undefined ? [`${path}${name}`] : []),
      ...undescribed(property, `${path}${name}.`),
    ]),
    ...(schema.anyOf ?? []).flatMap((one) => undescribed(one, path)),
  ];
}
