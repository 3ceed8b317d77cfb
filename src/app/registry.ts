import { elasticsearchConnector } from '../../connectors/elasticsearch/elasticsearch-connector.ts';
import { fileConnector } from '../../connectors/file/file-connector.ts';
import { kafkaConnector } from '../../connectors/kafka/kafka-connector.ts';
import { nullConnector } from '../../connectors/null/null-connector.ts';
import { type PostgresSourceConfig, postgresSource } from '../../connectors/postgres/config.ts';
import { sqliteConnector } from '../../connectors/sqlite/sqlite-connector.ts';
import { stdoutConnector } from '../../connectors/stdout/stdout-connector.ts';
import type { ConnectorRegistry } from '../config/pipeline-config.ts';

export type AppSourceConfig = PostgresSourceConfig;

/** Every connector of this build. A new one is a folder in connectors/ and a line here. */
export const registry: ConnectorRegistry<AppSourceConfig> = {
  source: postgresSource,
  sinks: [
    kafkaConnector,
    elasticsearchConnector,
    fileConnector,
    sqliteConnector,
    stdoutConnector,
    nullConnector,
  ],
};
