import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ConfigError } from '../../src/config/findings.ts';
import { configJsonSchema } from '../../src/config/json-schema.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import type { ConnectorRegistry, PipelineConfig } from '../../src/config/pipeline-config.ts';
import { byteSize, duration } from '../../src/config/scalars.ts';
import { TableRules } from '../../src/config/table-rules.ts';
import type { SinkConnector } from '../../src/delivery/sink.ts';

function connector(type: string, config: z.ZodType, mapping: z.ZodType): SinkConnector {
  return {
    type,
    config,
    mapping,
    capabilities: () => expect.unreachable(),
    check: () => expect.unreachable(),
    create: () => expect.unreachable(),
  };
}

const registry: ConnectorRegistry = {
  source: z.strictObject({
    url: z.string().optional(),
    port: z.int().optional(),
    manage: z.boolean().default(true),
    wal_budget: byteSize.prefault('1GiB'),
  }),
  sinks: [
    connector(
      'kafka',
      z.strictObject({ brokers: z.array(z.string()).min(1), exactly_once: z.boolean().default(false) }),
      z.strictObject({ topic: z.string().default('{schema}.{table}') }),
    ),
    connector(
      'elasticsearch',
      z.strictObject({
        url: z.string(),
        request_timeout: duration.prefault('30s'),
        auth: z.strictObject({ api_key: z.string() }).optional(),
      }),
      z.strictObject({ index: z.string().optional(), id: z.string().optional() }),
    ),
  ],
};

const GOOD = `pipeline: shop
source: { url: "\${DATABASE_URL}" }
sinks:
  events: { type: kafka, brokers: [localhost:9092], exactly_once: true }
  search: { type: elasticsearch, url: http://localhost:9200, auth: { api_key: "\${ES_API_KEY}" } }
tables:
  public.orders:
    columns: { exclude: [card_number] }
    to:
      - { sink: events, topic: "shop.{table}" }
      - { sink: search, index: orders }
  public.customers:
    to: events
`;

const env = { DATABASE_URL: 'postgres://u:secret-pw@h/shop', ES_API_KEY: 'key-123', PORT: '6432', EMPTY: '' };

function load(text: string): PipelineConfig {
  return loadConfig({ file: 'tailrace.yaml', text, env, registry, readFile: () => 'from-file\n' });
}

function findings(text: string): string[] {
  try {
    load(text);
  } catch (error) {
    if (error instanceof ConfigError)
      return error.message
        .split('\n')
        .slice(1)
        .map((line) => line.trim());
    throw error;
  }
  return [];
}

describe('a good file', () => {
  test('is read with defaults, references and mappings resolved', () => {
    const config = load(GOOD);
    expect(config.pipeline).toBe('shop');
    expect(config.source).toMatchObject({ url: env.DATABASE_URL, wal_budget: 1024 ** 3 });
    expect(config.sinks.map((sink) => [sink.name, sink.connector.type])).toEqual([
      ['events', 'kafka'],
      ['search', 'elasticsearch'],
    ]);
    expect(config.tables[0]?.mappings.map((mapping) => [mapping.id, mapping.options, mapping.where])).toEqual(
      [
        ['public.orders -> events', { topic: 'shop.{table}' }, 'tailrace.yaml:10:9'],
        ['public.orders -> search', { index: 'orders' }, 'tailrace.yaml:11:9'],
      ],
    );
    expect(config.tables[1]?.mappings[0]?.options).toEqual({ topic: '{schema}.{table}' });
    expect(config.eventLog.dir).toMatch(/tailrace-data$/);
    expect(config.secrets).toEqual(new Set([env.DATABASE_URL, env.ES_API_KEY]));
  });

  test('names, ports and switches from the environment are no secrets: without them a log cannot be read', () => {
    const text = GOOD.replace(/^pipeline: .*$/m, 'pipeline: "${NAME}"')
      .replace('"${DATABASE_URL}"', '"${DATABASE_URL}", port: "${PORT}", manage: "${MANAGE}"')
      .concat('\nlog: { level: "${LEVEL}" }\n');
    const names = { NAME: 'shop', PORT: '5432', MANAGE: 'false', LEVEL: 'info' };
    const config = loadConfig({ file: 'tailrace.yaml', text, env: { ...env, ...names }, registry });
    expect(config).toMatchObject({ pipeline: 'shop', log: { level: 'info' } });
    expect(config.secrets).toEqual(new Set([env.DATABASE_URL, env.ES_API_KEY]));
  });

  test('its JSON Schema knows the options of sources, sinks and mappings', () => {
    const text = JSON.stringify(configJsonSchema(registry));
    for (const option of ['exactly_once', 'request_timeout', 'wal_budget', 'topic', 'on_full', '2020-12']) {
      expect(text).toContain(option);
    }
  });
});

describe('references', () => {
  test('become numbers and switches where those belong', () => {
    const config = load(
      GOOD.replace('{ url: "${DATABASE_URL}" }', '{ port: "${PORT}", manage: "${MANAGE:-false}" }'),
    );
    expect(config.source).toMatchObject({ port: 6432, manage: false });
    expect(load(`${GOOD}admin: { port: "\${PORT}" }\n`).admin).toMatchObject({ port: 6432 });
  });

  test('have defaults, also for empty variables; $${ stands for itself', () => {
    const config = load(GOOD.replace('"${DATABASE_URL}"', () => '"${NONE:-a}${EMPTY:-b}$${c}"'));
    expect(config.source).toMatchObject({ url: 'ab${c}' });
  });

  test('file: takes what the file holds, without its last line break', () => {
    expect(load(GOOD.replace('"${DATABASE_URL}"', 'file:/run/secrets/url')).source).toMatchObject({
      url: 'from-file',
    });
  });

  test('file: paths are relative to the configuration file', () => {
    const dir = mkdtempSync(join(tmpdir(), 'tailrace-config-'));
    writeFileSync(join(dir, 'url'), 'from beside it\n');
    const text = GOOD.replace('"${DATABASE_URL}"', 'file:./url');
    const config = loadConfig({ file: join(dir, 'tailrace.yaml'), text, env, registry });
    rmSync(dir, { recursive: true });
    expect(config.source).toMatchObject({ url: 'from beside it' });
  });

  test('that cannot be resolved are named with their place', () => {
    expect(findings(GOOD.replace('DATABASE_URL', 'NOT_SET'))).toEqual([
      'tailrace.yaml:2:16 the environment variable NOT_SET is not set',
    ]);
  });
});

describe('errors name file, line, column and path', () => {
  test.each([
    [
      'an unknown option',
      'exactly_once: true',
      'exactly_onse: true',
      'tailrace.yaml:4:53 sinks.events.exactly_onse: unknown option "exactly_onse", did you mean "exactly_once"?',
    ],
    [
      'an unknown key of the document',
      'pipeline: shop',
      'pipeline: shop\nsauce: {}',
      'tailrace.yaml:2:1 sauce: unknown option "sauce", did you mean "source"?',
    ],
    [
      'an unknown option of a mapping',
      'index: orders',
      'indx: orders',
      'tailrace.yaml:11:25 tables.public.orders.to[1].indx: unknown option "indx", did you mean "index"?',
    ],
    [
      'an unknown sink',
      'sink: search',
      'sink: serach',
      'tailrace.yaml:11:17 tables.public.orders.to[1].sink: there is no sink "serach", did you mean "search"?',
    ],
    [
      'an unknown type',
      'type: kafka',
      'type: kafak',
      'tailrace.yaml:4:19 sinks.events.type: unknown type of sink "kafak", did you mean "kafka"?',
    ],
    [
      'something missing',
      ', url: http://localhost:9200',
      '',
      'tailrace.yaml:5:11 sinks.search.url: is required',
    ],
    [
      'a wrong type',
      'exactly_once: true',
      'exactly_once: maybe',
      'tailrace.yaml:4:67 sinks.events.exactly_once: invalid input: expected boolean, received string',
    ],
    [
      'a table without schema',
      'public.customers',
      'customers',
      expect.stringMatching(/^tailrace\.yaml:12:3 tables\.customers: expected schema\.table/),
    ],
    [
      'include and exclude at once',
      'exclude: [card_number]',
      'exclude: [a], include: [b]',
      expect.stringContaining('give include or exclude, not both'),
    ],
    [
      'a bad name',
      'pipeline: shop',
      'pipeline: "shop floor"',
      expect.stringMatching(/^tailrace\.yaml:1:11 pipeline: expected letters/),
    ],
    [
      'a policy that does not exist',
      'exactly_once: true',
      'exactly_once: true, on_poison: skip',
      expect.stringMatching(/^tailrace\.yaml:4:\d+ sinks\.events\.on_poison: .*"stop"/),
    ],
    [
      'a bad size',
      'pipeline: shop',
      'pipeline: shop\nevent_log: { limit: 5GB }',
      expect.stringMatching(/^tailrace\.yaml:2:21 event_log\.limit: expected a size/),
    ],
  ])('%s', (_, from, to, expected) => {
    expect(findings(GOOD.replace(from, to))).toEqual([expected]);
  });

  test('a duplicate key, a tab, an alias bomb', () => {
    expect(findings(`${GOOD}pipeline: again\n`)[0]).toMatch(/^tailrace\.yaml:14:1 .*unique/);
    expect(findings('pipeline:\n\t- x\n')[0]).toMatch(/^tailrace\.yaml:2:\d+ /);
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x,x,x]',
      ...'bcdefgh'.split('').map((c, i) => `${c}: &${c} [${Array(10).fill(`*${'abcdefg'[i]}`).join(',')}]`),
    ];
    expect(findings(bomb.join('\n'))[0]).toMatch(/alias/i);
  });

  test('several at once, in the order of the file', () => {
    const lines = findings(
      GOOD.replace('exactly_once', 'exactly')
        .replace('url: http', 'uri: http')
        .replace('pipeline: shop', 'pipeline: shop\nx: 1'),
    );
    expect(lines.map((line) => line.split(' ')[0])).toEqual([
      'tailrace.yaml:2:1',
      'tailrace.yaml:5:53',
      'tailrace.yaml:6:11',
      'tailrace.yaml:6:34',
    ]);
  });

  test('never show values that came from outside', () => {
    const text = findings(GOOD.replace('brokers: [localhost:9092]', 'brokers: "${ES_API_KEY}"')).join('\n');
    expect(text).toContain('sinks.events.brokers');
    expect(text).not.toContain('key-123');
  });
});

describe('which rule a table follows', () => {
  test('a name goes before a pattern, an earlier pattern before a later one', () => {
    const text = GOOD.replace(
      '  public.orders:',
      '  "public.*": { to: search }\n  "*.*": { to: events }\n  public.orders:',
    );
    const rules = new TableRules(load(text).tables);
    expect(rules.ruleFor('public', 'orders')?.pattern.text).toBe('public.orders');
    expect(rules.ruleFor('public', 'other')?.pattern.text).toBe('public.*');
    expect(rules.ruleFor('shop', 'other')?.pattern.text).toBe('*.*');
    expect(
      rules.mappingsFor({ schema: 'public', table: 'orders' }, 'search').map((mapping) => mapping.id),
    ).toEqual(['public.orders -> search']);
  });
});
