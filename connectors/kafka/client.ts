import type { SinkContext } from '../../src/delivery/sink.ts';
import { Admin } from './cluster/admin.ts';
import { Cluster } from './cluster/cluster.ts';
import { PartitionReader } from './cluster/partition-reader.ts';
import type { KafkaConfig } from './config.ts';
import { BrokerConnection, type ConnectionSettings } from './kafkajs/broker-connection.ts';
import { brokerAddress, connectionSettings } from './kafkajs/connection-settings.ts';
import { codecOf } from './produce/compression.ts';
import type { Producer } from './produce/producer.ts';
import { ProducerSession } from './produce/producer-session.ts';
import { FailureTranslator } from './translate.ts';

/** Leaders and coordinators move within seconds; what takes longer is told, and waited for by the lane. */
const PATIENCE_MS = 5000;

/** Names under which the brokers know the sink. */
export function identityOf(config: KafkaConfig, context: Pick<SinkContext, 'pipeline' | 'name'>) {
  const name = `tailrace-${context.pipeline}-${context.name}`;
  return {
    clientId: config.clientId ?? name,
    transactionalId: config.exactlyOnce ? (config.transactionalId ?? name) : undefined,
  };
}

export function translatorOf(
  config: KafkaConfig,
  context: Pick<SinkContext, 'pipeline' | 'name'>,
): FailureTranslator {
  return new FailureTranslator({
    brokers: config.brokers,
    principal: config.sasl === undefined ? 'User:ANONYMOUS' : `User:${config.sasl.username}`,
    transactionalId: identityOf(config, context).transactionalId,
    tls: config.tls !== undefined,
    sasl: config.sasl !== undefined,
  });
}

/** Everything of one sink that talks to the cluster. Producers have connections of their own: one that is given up takes nothing else with it. */
export class KafkaClient {
  readonly admin: Admin;
  readonly reader: PartitionReader;
  readonly #config: KafkaConfig;
  readonly #context: SinkContext;
  readonly #settings: ConnectionSettings;
  readonly #cluster: Cluster;

  /** Throws E_SINK_CONFIG when a certificate cannot be read; connects to nothing yet. */
  static async create(config: KafkaConfig, context: SinkContext): Promise<KafkaClient> {
    const { clientId } = identityOf(config, context);
    const { baseDir, logger } = context;
    return new KafkaClient(config, context, await connectionSettings(config, { clientId, baseDir, logger }));
  }

  private constructor(config: KafkaConfig, context: SinkContext, settings: ConnectionSettings) {
    this.#config = config;
    this.#context = context;
    this.#settings = settings;
    this.#cluster = this.#newCluster();
    const parts = { cluster: this.#cluster, clock: context.clock, patienceMs: PATIENCE_MS };
    this.admin = new Admin(parts);
    this.reader = new PartitionReader(parts);
  }

  newProducer(): Producer {
    const { compression, requestTimeoutMs, transactionTimeoutMs } = this.#config;
    const { transactionalId } = identityOf(this.#config, this.#context);
    return new ProducerSession({
      cluster: this.#newCluster(),
      clock: this.#context.clock,
      codec: codecOf(compression),
      requestTimeoutMs,
      patienceMs: PATIENCE_MS,
      transaction:
        transactionalId === undefined ? undefined : { id: transactionalId, timeoutMs: transactionTimeoutMs },
    });
  }

  /** At once, without waiting for the network. */
  close(): void {
    this.#cluster.close();
  }

  #newCluster(): Cluster {
    return new Cluster({
      seeds: this.#config.brokers.map(brokerAddress),
      openConnection: (address) => new BrokerConnection(address, this.#settings),
    });
  }
}
