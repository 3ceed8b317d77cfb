import { freePort } from './free-port.ts';
import { kafkaVersion } from './kafka-distribution.ts';
import { brokerAnswers, coordinatorsAnswer } from './kafka-readiness.ts';
import { startLocalKafka } from './local-kafka.ts';
import { provideServer } from './provide-server.ts';
import type { RunningServer } from './servers.ts';
import { waitFor } from './wait.ts';

const image = `apache/kafka:${kafkaVersion}`;

/** Its address may name several brokers: host:port with commas, PLAINTEXT. */
export async function provideKafka(): Promise<RunningServer> {
  const server = await provideServer({
    name: 'kafka',
    variable: 'TAILRACE_TEST_KAFKA_BROKERS',
    check: awaitCoordinators,
    startContainer,
    startPackages,
    remedy: 'start Docker, or set TAILRACE_TEST_KAFKA_BROKERS',
  });
  try {
    await awaitCoordinators(server.address);
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function awaitCoordinators(brokers: string): Promise<void> {
  const [broker = ''] = brokers.split(',');
  await waitFor(async () => (await brokerAnswers(broker)) && (await coordinatorsAnswer(broker)), {
    timeoutMs: 30_000,
    intervalMs: 100,
    describe: `Kafka at ${broker} to have its coordinators`,
  });
}

async function startPackages(): Promise<RunningServer> {
  const server = await startLocalKafka();
  return {
    address: server.brokers,
    via: `Kafka ${kafkaVersion} from Maven Central`,
    stop: async () => server[Symbol.asyncDispose](),
  };
}

/** The port is fixed beforehand, because the broker has to advertise it. */
async function startContainer(): Promise<RunningServer> {
  const { GenericContainer, getContainerRuntimeClient, Wait } = await import('testcontainers');
  const { host } = (await getContainerRuntimeClient()).info.containerRuntime;
  const port = await freePort();
  const container = await new GenericContainer(image)
    .withExposedPorts({ container: 9092, host: port })
    .withEnvironment({
      KAFKA_NODE_ID: '1',
      KAFKA_PROCESS_ROLES: 'broker,controller',
      KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
      KAFKA_LISTENERS: 'PLAINTEXT://:9092,CONTROLLER://:9093',
      KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://${host}:${port}`,
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
      KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1',
      KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR: '1',
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
    })
    .withWaitStrategy(Wait.forListeningPorts())
    .start();
  return {
    address: `${host}:${port}`,
    via: `Docker, ${image}`,
    stop: async () => {
      await container.stop();
    },
  };
}
