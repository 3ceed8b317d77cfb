import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { kafkaConfig, kafkaMapping } from '../../../connectors/kafka/config.ts';
import { kafkaConnector } from '../../../connectors/kafka/kafka-connector.ts';
import type { Finding } from '../../../src/delivery/sink.ts';
import type { Relation } from '../../../src/events/relation.ts';
import { freePort } from '../../support/free-port.ts';
import { createTestTopics, type TestTopics } from '../../support/kafka.ts';
import { mapping, relation, sinkContext } from '../batch-builder.ts';
import { createTopic, orders } from './rig.ts';

let topics: TestTopics;
beforeEach(async () => {
  topics = await createTestTopics();
});
afterEach(async () => {
  await topics[Symbol.asyncDispose]();
});

const notes = relation({ table: 'notes', columns: { text: 'text' } });

async function check(
  config: Record<string, unknown>,
  relations: readonly Relation[] = [orders],
): Promise<Finding[]> {
  const findings = kafkaConnector.check({
    config: kafkaConfig.parse({
      brokers: [...topics.brokers],
      positions_topic: topics.name('positions'),
      ...config,
    }),
    context: sinkContext({ dataDir: '/nowhere', pipeline: topics.prefix.slice(0, -1), name: 'events' }),
    tables: relations.map((table) => ({
      mapping: mapping({ options: kafkaMapping.parse({}) }),
      relation: table,
    })),
    signal: new AbortController().signal,
  });
  const found: Finding[] = [];
  for await (const finding of findings) found.push(finding);
  return found;
}

const problems = (findings: readonly Finding[]): readonly Finding[] =>
  findings.filter(({ level }) => level !== 'ok');

describe('check', () => {
  test('finds everything in order, and creates nothing', async () => {
    const findings = await check({ exactly_once: true });
    expect(problems(findings)).toEqual([]);
    expect(findings.map(({ about }) => about).join('\n')).toMatch(
      /Kafka answers[^]*coordinator answers[^]*will be created[^]*public\.orders does not exist yet and will be created/,
    );
    const existing = await topics.admin.listTopics();
    expect(existing.filter((topic) => topic.startsWith(topics.prefix))).toEqual([]);
  });

  test('names what is missing and what does not fit, each with what mends it', async () => {
    await createTopic(topics, 'public.notes', {
      configEntries: [{ name: 'cleanup.policy', value: 'compact' }],
    });
    await createTopic(topics, 'positions', { configEntries: [{ name: 'cleanup.policy', value: 'delete' }] });
    await createTopic(topics, 'public.wide', {
      configEntries: [
        { name: 'max.message.bytes', value: '1000' },
        { name: 'min.insync.replicas', value: '2' },
      ],
    });
    const wide = relation({ table: 'wide', columns: { id: 'int8' }, key: ['id'] });
    const findings = problems(
      await check(
        {
          exactly_once: true,
          transaction_timeout: '1h',
          max_record_bytes: '5KiB',
          topics: { create: false },
        },
        [orders, notes, wide],
      ),
    );
    const fixes = findings.map(({ level, fix }) => `${level} ${fix}`);
    const alter = (topic: string): string =>
      `kafka-configs.sh --bootstrap-server ${topics.brokers[0]} --alter --topic ${topics.name(topic)} --add-config`;
    expect(fixes).toEqual([
      'error transaction_timeout: 900000ms',
      `error ${alter('positions')} cleanup.policy=compact`,
      expect.stringMatching(/^error kafka-topics\.sh .* --create --topic .*public\.orders /),
      `error ${alter('public.notes')} cleanup.policy=delete`,
      `warning ${alter('public.wide')} max.message.bytes=6144`,
      `error ${alter('public.wide')} min.insync.replicas=1`,
    ]);
  });

  test('names two tables that would meet in one topic', async () => {
    const column = { columns: { id: 'int8' }, key: ['id'] } as const;
    const findings = problems(
      await check({}, [relation({ table: 'a b', ...column }), relation({ table: 'a/b', ...column })]),
    );
    expect(findings).toMatchObject([
      { level: 'error', about: expect.stringContaining('Tables public.a b and public.a/b') as string },
    ]);
  });

  test('says when nobody answers', async () => {
    expect(problems(await check({ brokers: [`127.0.0.1:${await freePort()}`] }))).toMatchObject([
      { level: 'error', about: expect.stringContaining('ECONNREFUSED') as string },
    ]);
  });

  test('warns of what goes over the network in the open', async () => {
    const findings = await check({
      brokers: ['kafka.invalid:9092'],
      sasl: { mechanism: 'plain', username: 'u', password: 'p' },
    });
    expect(findings[0]).toMatchObject({
      level: 'warning',
      about: expect.stringContaining('password') as string,
    });
    expect(findings[1]).toMatchObject({ level: 'error' });
  });
});
