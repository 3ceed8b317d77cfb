import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  type Admin,
  ResourcePatternTypes,
} from 'kafkajs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CertificateAuthority } from '../../support/certificates.ts';
import { findJava } from '../../support/java.ts';
import { testKafka } from '../../support/kafka.ts';
import { type KafkaListener, type LocalKafka, startLocalKafka } from '../../support/local-kafka.ts';
import { waitFor } from '../../support/wait.ts';
import { EventScript } from '../batch-builder.ts';
import { KafkaRig, orders } from './rig.ts';

/** A broker of our own: with TLS, passwords, and an authorizer that lets unknown users of the plain listener do everything. */
describe.skipIf(findJava(17) === undefined)('security', () => {
  let kafka: LocalKafka;
  let admin: Admin;
  let prefix: string;
  const authority = new CertificateAuthority();
  const password = 'p:4s$-w/o+rd';

  beforeAll(async () => {
    kafka = await startLocalKafka({
      users: { tailrace: password, clerk: 'clerk-secret' },
      certificate: authority.issue({ commonName: 'broker', hosts: ['localhost'] }),
      extraProperties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS;User:tailrace',
      },
    });
    admin = testKafka([kafka.brokers]).admin();
    await admin.connect();
  });
  afterAll(async () => {
    await admin?.disconnect();
    await kafka?.[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    prefix = `t${randomBytes(6).toString('hex')}.`;
  });

  /** The certificate is for localhost; the brokers advertise 127.0.0.1. */
  const tls = { ca: authority.certificate, server_name: 'localhost' };
  const sasl = { mechanism: 'scram-sha-512', username: 'tailrace', password };

  const rig = (listener: KafkaListener, config: Record<string, unknown>): KafkaRig =>
    new KafkaRig({
      brokers: [kafka.address(listener)],
      prefix,
      config: { connect_timeout: '5s', ...config },
    });

  const script = new EventScript();
  script.transaction((tx) => tx.insert(orders, { id: '1', note: 'secret content' }));

  test.each<[string, KafkaListener, Record<string, unknown>]>([
    ['plain', 'SASL_PLAINTEXT', { sasl: { ...sasl, mechanism: 'plain' } }],
    ['scram-sha-256', 'SASL_PLAINTEXT', { sasl: { ...sasl, mechanism: 'scram-sha-256' } }],
    ['scram-sha-512', 'SASL_PLAINTEXT', { sasl: { ...sasl, mechanism: 'scram-sha-512' } }],
    ['TLS', 'SSL', { tls }],
    ['TLS and SASL', 'SASL_SSL', { tls, sasl }],
  ])('%s: delivers', async (_, listener, config) => {
    // User:ANONYMOUS is what the TLS listener makes of a client without a certificate.
    await using sink = rig(listener, { exactly_once: true, ...config });
    await sink.open();
    expect(await sink.deliver(script)).toMatchObject({ durable: script.end });
  });

  test('the authority may be a file beside the configuration', async () => {
    const baseDir = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
    try {
      await writeFile(join(baseDir, 'ca.pem'), authority.certificate);
      const options = { brokers: [kafka.address('SSL')], prefix, context: { baseDir } };
      await using sink = new KafkaRig({ ...options, config: { tls: { ...tls, ca: 'ca.pem' } } });
      await sink.open();
      await using other = new KafkaRig({ ...options, config: { tls: { ...tls, ca: 'no-such.pem' } } });
      await expect(other.open()).rejects.toMatchObject({
        code: 'E_SINK_CONFIG',
        message: expect.stringContaining(join(baseDir, 'no-such.pem')) as string,
      });
    } finally {
      await rm(baseDir, { recursive: true });
    }
  });

  test.each<[string, KafkaListener, Record<string, unknown>, string]>([
    ['a certificate nobody vouches for', 'SSL', { tls: { server_name: 'localhost' } }, 'tls: { ca }'],
    ['a certificate for another host', 'SSL', { tls: { ca: authority.certificate } }, 'server_name'],
    ['a wrong password', 'SASL_PLAINTEXT', { sasl: { ...sasl, password: 'guessed' } }, 'sasl'],
    [
      'a wrong plain password',
      'SASL_PLAINTEXT',
      { sasl: { ...sasl, mechanism: 'plain', password: 'guessed' } },
      'sasl',
    ],
  ])('%s is final after a few tries and says what to do', async (_, listener, config, fix) => {
    await using sink = rig(listener, config);
    const error = await sink.open().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'E_SINK_CONFIG',
      retriable: false,
      fix: expect.stringContaining(fix) as string,
    });
    expect(sink.retried).toHaveLength(4);
    expect(JSON.stringify(sink.retried) + String(error)).not.toMatch(/guessed|w\/o\+rd/);
  });

  test.each<[string, KafkaListener, Record<string, unknown>, string]>([
    ['expects TLS', 'SSL', {}, 'try `tls: true`'],
    ['expects a password', 'SASL_PLAINTEXT', {}, 'try `sasl`'],
    ['does not speak TLS', 'PLAINTEXT', { tls }, 'try without `tls`'],
  ])('a listener that %s is hinted at, and tried again', async (_, listener, config, hint) => {
    await using sink = rig(listener, config);
    await expect(sink.sink.open(sink.signal)).rejects.toMatchObject({
      code: 'E_SINK_UNAVAILABLE',
      retriable: true,
      fix: expect.stringContaining(hint) as string,
    });
  });

  describe('privileges', () => {
    const clerk = { sasl: { mechanism: 'plain', username: 'clerk', password: 'clerk-secret' } };
    const principal = 'User:clerk';

    const allow = async (
      resourceType: AclResourceTypes,
      resourceName: string,
      ...operations: readonly AclOperationTypes[]
    ): Promise<void> => {
      await admin.createAcls({
        acl: operations.map((operation) => ({
          resourceType,
          resourceName,
          resourcePatternType: ResourcePatternTypes.LITERAL,
          principal,
          host: '*',
          operation,
          permissionType: AclPermissionTypes.ALLOW,
        })),
      });
    };
    const { TOPIC, TRANSACTIONAL_ID } = AclResourceTypes;
    const { CREATE, DESCRIBE, READ, WRITE } = AclOperationTypes;

    test('that are missing are named, one after the other, with the command that grants them', async () => {
      const positions = `${prefix}positions`;
      const table = `${prefix}public.orders`;
      const transactionalId = `tailrace-${prefix.replace(/\.$/, '')}-events`;
      const refusedBy = async (work: (sink: KafkaRig) => Promise<unknown>): Promise<string> => {
        await using sink = rig('SASL_PLAINTEXT', { ...clerk, exactly_once: true });
        const error = await work(sink).catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({ code: 'E_SINK_CONFIG', retriable: false });
        return (error as { fix: string }).fix;
      };
      const open = async (sink: KafkaRig): Promise<unknown> => sink.open();
      const command = `kafka-acls.sh --bootstrap-server ${kafka.address('SASL_PLAINTEXT')} --add --allow-principal ${principal}`;

      expect(await refusedBy(open)).toBe(
        `${command} --operation Describe --operation Create --operation Read --operation Write --topic '${positions}'`,
      );
      await allow(TOPIC, positions, CREATE, DESCRIBE, READ, WRITE);
      expect(await refusedBy(open)).toBe(
        `${command} --operation Describe --operation Write --transactional-id '${transactionalId}'`,
      );
      await allow(TRANSACTIONAL_ID, transactionalId, DESCRIBE, WRITE);
      const deliver = async (sink: KafkaRig): Promise<unknown> => {
        await sink.open();
        return sink.deliver(script);
      };
      expect(await refusedBy(deliver)).toBe(
        `${command} --operation Create --operation Describe --operation Write --topic '${table}'`,
      );
      await allow(TOPIC, table, CREATE, DESCRIBE, WRITE);
      // The least privileges: nothing on groups, nothing on the cluster, no DescribeConfigs.
      await using sink = rig('SASL_PLAINTEXT', { ...clerk, exactly_once: true });
      await sink.open();
      expect(await sink.deliver(script)).toMatchObject({ durable: script.end });
    });

    test('that are taken away in mid-run are named', async () => {
      const table = `${prefix}public.orders`;
      await allow(TOPIC, `${prefix}positions`, CREATE, DESCRIBE, READ, WRITE);
      await allow(TOPIC, table, CREATE, DESCRIBE, WRITE);
      const more = new EventScript();
      more.transaction((tx) => tx.insert(orders, { id: '1', note: 'a' }));
      await using sink = rig('SASL_PLAINTEXT', clerk);
      await sink.open();
      await sink.deliver(more);
      await admin.deleteAcls({
        filters: [
          {
            resourceType: TOPIC,
            resourceName: table,
            resourcePatternType: ResourcePatternTypes.LITERAL,
            principal,
            operation: WRITE,
            permissionType: AclPermissionTypes.ANY,
          },
        ],
      });
      await expect(
        waitFor(async () => {
          more.transaction((tx) => tx.insert(orders, { id: '2', note: 'b' }));
          const refused = await sink.deliver(more).then(
            () => undefined,
            (thrown: unknown) => thrown,
          );
          return refused === undefined ? undefined : { refused };
        }),
      ).resolves.toMatchObject({
        refused: {
          code: 'E_SINK_CONFIG',
          fix: expect.stringContaining(`--operation Describe --operation Write --topic '${table}'`) as string,
        },
      });
    });
  });
});
