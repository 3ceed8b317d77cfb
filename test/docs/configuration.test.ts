import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { registry } from '../../src/app/registry.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { type Block, blocks, pages, ROOT, read } from './markdown.ts';

/** Any environment variable is set, any file of a secret is there. */
const anything = {
  env: new Proxy<Record<string, string>>({}, { get: (_, name) => valueOf(String(name)) }),
  readFile: () => 'a secret\n',
};

function valueOf(name: string): string {
  if (name.endsWith('_PORT')) return '8642';
  if (name.endsWith('_URL')) return name.startsWith('DATABASE') ? 'postgresql://u@h/d' : 'http://h:9200';
  return /BROKER/.test(name) ? 'h:9092' : 'text';
}

function load(file: string, text: string): unknown {
  return loadConfig({ file, text, registry, ...anything });
}

const KEYS = ['pipeline', 'source', 'sinks', 'tables', 'event_log', 'admin', 'log', 'shutdown_timeout'];

/** Completes a part of a configuration, so that it can be read as one. */
const REST = {
  pipeline: 'shop',
  source: { url: 'postgresql://u@h/d' },
  tables: { 'public.orders': { to: 'events' } },
};

/** Other programs' YAML: Kubernetes, Prometheus. */
const FOREIGN_KEYS = ['kind', 'groups'];

const all = pages().flatMap((page) => blocks(page, 'yaml'));
const configurations = all.filter(({ text }) => Object.keys(keysOf(text)).some((key) => KEYS.includes(key)));

function keysOf(text: string): Record<string, unknown> {
  const value: unknown = parse(text);
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

describe('YAML in the documentation', () => {
  test('is known', () => {
    const unknown = all.filter(
      (block) =>
        !configurations.includes(block) &&
        !Object.keys(keysOf(block.text)).some((key) => FOREIGN_KEYS.includes(key)),
    );
    expect(unknown.map(placeOf)).toEqual([]);
    expect(configurations.length).toBeGreaterThan(5);
  });

  test.each(configurations.map((block) => [placeOf(block), block] as const))(
    '%s is accepted',
    (place, block) => {
      const given = keysOf(block.text);
      const whole = 'pipeline' in given && 'sinks' in given && 'tables' in given;
      load(place, whole ? block.text : JSON.stringify(completed(given)));
    },
  );
});

function placeOf({ page, line }: Block): string {
  return `${page}:${line}`;
}

/** Sinks that tables of a part name are made up, of a type that takes the mapping's options. */
function completed(part: Readonly<Record<string, unknown>>): unknown {
  const tables = (part['tables'] ?? REST.tables) as Record<string, { readonly to: unknown }>;
  const named = Object.values(tables)
    .flatMap(({ to }) => (Array.isArray(to) ? to : [to]) as (string | { readonly sink: string })[])
    .map((line) => (typeof line === 'string' ? line : line.sink));
  const sinks = {
    ...Object.fromEntries(named.map((name) => [name, EXAMPLE_SINKS[name] ?? EXAMPLE_SINKS['events']])),
    ...(part['sinks'] as object | undefined),
  };
  return { ...REST, ...part, sinks, tables };
}

/** What the names of sinks stand for in the documentation. */
const EXAMPLE_SINKS: Readonly<Record<string, object>> = {
  events: { type: 'kafka', brokers: ['localhost:9092'] },
  search: { type: 'elasticsearch', url: 'http://localhost:9200' },
  history: { type: 'file', path: './history' },
  mirror: { type: 'sqlite', path: './shop.db' },
};

describe('examples/', () => {
  const examples = readdirSync(join(ROOT, 'examples')).filter((name) => name.endsWith('.yaml'));

  test.each(examples)('%s is accepted', (name) => {
    load(join(ROOT, 'examples', name), read(join('examples', name)));
  });

  test('each is run by a test', () => {
    const tests = readdirSync(join(ROOT, 'test/examples'))
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => read(join('test/examples', name)));
    const untested = examples.filter((name) => !tests.some((text) => text.includes(`file: '${name}'`)));
    expect(untested).toEqual([]);
  });
});
