import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { elasticsearchVersion } from './elasticsearch-distribution.ts';
import { kafkaVersion } from './kafka-distribution.ts';

const root = resolve(import.meta.dirname, '../..');

const service = z.looseObject({
  image: z.string(),
  build: z.string().optional(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.union([z.string(), z.number()])).default({}),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.looseObject({ test: z.array(z.string()).min(2) }).optional(),
});
const compose = z
  .object({
    name: z.string(),
    services: z.object({ postgres: service, kafka: service, elasticsearch: service, tailrace: service }),
    volumes: z.record(z.string(), z.null()),
  })
  .parse(parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8')));
const { services } = compose;
const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');

test('the servers are those the tests run against', () => {
  expect(services.postgres.image).toBe('postgres:18');
  expect(services.kafka.image).toBe(`apache/kafka:${kafkaVersion}`);
  expect(services.elasticsearch.image).toBe(`elasticsearch:${elasticsearchVersion}`);
  expect(services.postgres.command).toContain('wal_level=logical');
  expect(services.kafka.environment['KAFKA_PROCESS_ROLES']).toBe('broker,controller');
});

test('Tailrace starts when everything is healthy, and says itself whether it is', () => {
  for (const name of ['postgres', 'kafka', 'elasticsearch'] as const) {
    expect(services[name].healthcheck, name).toBeDefined();
    expect(services.tailrace.depends_on[name], name).toEqual({ condition: 'service_healthy' });
  }
  expect(dockerfile).toMatch(/^HEALTHCHECK [^]*\/livez/m);
});

test('data outlives the containers, and nothing listens beyond this machine', () => {
  for (const [name, { volumes, ports }] of Object.entries(services)) {
    const [volume = ''] = volumes[0]?.split(':') ?? [];
    expect(compose.volumes, name).toHaveProperty(volume);
    expect(
      ports.every((port) => port.startsWith('127.0.0.1:')),
      name,
    ).toBe(true);
    for (const [path = ''] of volumes.slice(1).map((mount) => mount.split(':'))) {
      expect(existsSync(join(root, path)), path).toBe(true);
    }
  }
});

test('the example is wired to the containers', () => {
  const example = readFileSync(join(root, 'examples/compose.yaml'), 'utf8');
  const asked = [...example.matchAll(/\$\{([A-Z_]+)/g)].map(([, name = '']) => name);
  const given = [
    ...Object.keys(services.tailrace.environment),
    ...[...dockerfile.matchAll(/^(?:ENV| {4})\s*([A-Z_]+)=/gm)].map(([, name = '']) => name),
  ];
  expect(given).toEqual(expect.arrayContaining(asked));
  const { KAFKA_ADVERTISED_LISTENERS: advertised = '' } = services.kafka.environment;
  expect(advertised).toContain(`://${services.tailrace.environment['KAFKA_BROKER']}`);
  const config = services.tailrace.volumes.find((mount) => mount.startsWith('./examples/compose.yaml:'));
  expect(dockerfile).toContain(`TAILRACE_CONFIG=${config?.split(':')[1]} `);
});

test('the image runs as nobody in particular, from the files that .dockerignore lets through', () => {
  const stages = dockerfile.split(/^FROM /m);
  expect(stages.at(-1)).toMatch(/^USER node$/m);
  expect(stages.at(-1)).toMatch(/^VOLUME \/var\/lib\/tailrace$/m);
  const ignored = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n');
  const kept = ignored.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files = '']) =>
    files.split(' '),
  );
  expect(kept.sort()).toEqual([...new Set(copied)].sort());
});
