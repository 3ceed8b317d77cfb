import { Kafka, type KafkaConfig, logLevel } from 'kafkajs';
import { expect, test } from 'vitest';
import { CertificateAuthority } from './certificates.ts';
import { findJava } from './java.ts';
import { readTopic, testKafka } from './kafka.ts';
import { startLocalKafka } from './local-kafka.ts';
import { waitFor } from './wait.ts';

test.skipIf(findJava(17) === undefined)(
  'every listener admits who has the password and the authority; transactions survive kill -9',
  { timeout: 120_000 },
  async () => {
    const authority = new CertificateAuthority();
    const ssl = { ca: [authority.certificate] };
    await using server = await startLocalKafka({
      users: { alice: 'secret' },
      certificate: authority.issue({ commonName: 'kafka', hosts: ['127.0.0.1'] }),
    });
    const connects = async (config: Partial<KafkaConfig>, broker: string): Promise<string> => {
      const kafka = new Kafka({
        ...config,
        brokers: [broker],
        logLevel: logLevel.NOTHING,
        retry: { retries: 0 },
      });
      const admin = kafka.admin();
      try {
        await admin.connect();
        return 'connected';
      } catch (error) {
        return (error as Error).name;
      } finally {
        await admin.disconnect();
      }
    };
    const alice = { username: 'alice', password: 'secret' };
    const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;
    for (const mechanism of mechanisms) {
      const sasl = { mechanism, ...alice } as NonNullable<KafkaConfig['sasl']>;
      const wrong = { ...sasl, password: 'wrong' } as NonNullable<KafkaConfig['sasl']>;
      expect(await connects({ sasl }, server.address('SASL_PLAINTEXT')), mechanism).toBe('connected');
      expect(await connects({ sasl, ssl }, server.address('SASL_SSL')), mechanism).toBe('connected');
      expect(await connects({ sasl: wrong }, server.address('SASL_PLAINTEXT')), mechanism).toMatch(
        /^KafkaJSSASL/,
      );
    }
    expect(await connects({ ssl }, server.address('SSL'))).toBe('connected');
    expect(await connects({ ssl: true }, server.address('SSL'))).not.toBe('connected');

    const kafka = testKafka([server.brokers]);
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: 'kept' }] });
    const producer = kafka.producer({ transactionalId: 'w', idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    const transaction = await producer.transaction();
    await transaction.send({ topic: 'kept', messages: [{ value: 'acknowledged' }] });
    await transaction.commit();
    // At once: the markers of the transaction may not be written yet, and come after the restart.
    await server.kill9();
    await producer.disconnect();
    await server.start();
    const values = async (): Promise<readonly string[]> =>
      (await readTopic(kafka, 'kept')).map(({ value }) => String(value));
    await waitFor(async () => (await values()).length > 0, {
      describe: 'the transaction to be readable',
      timeoutMs: 30_000,
    });
    await server.stop();
    expect(server.running).toBe(false);
    await server.start();
    expect(await values()).toEqual(['acknowledged']);
    await admin.disconnect();
  },
);
