import { expect, test } from 'vitest';
import { z } from 'zod';
import { postgresSource, serverNames } from '../../../connectors/postgres/config.ts';

function issues(config: object): string[] {
  const result = postgresSource.safeParse(config);
  return result.success
    ? []
    : result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
}

test('defaults', () => {
  expect(postgresSource.parse({})).toMatchObject({
    manage: true,
    heartbeat: undefined,
    confirm: 'auto',
    walBudgetBytes: 1024 ** 3,
    slotCreateTimeoutMs: 120_000,
    connectTimeoutMs: undefined,
  });
  expect(postgresSource.parse({ heartbeat: { interval: '10s' }, wal_budget: '64MiB' })).toMatchObject({
    heartbeat: { intervalMs: 10_000 },
    walBudgetBytes: 64 * 1024 ** 2,
  });
});

test.each<[object, RegExp]>([
  [{ ssl: { mode: 'prefer' } }, /^ssl.mode: prefer is refused: .*fall back/],
  [{ ssl: { mode: 'allow' } }, /^ssl.mode: allow is refused/],
  [{ ssl: { mode: 'on' } }, /^ssl.mode: expected one of disable, require/],
  [{ ssl: { rootcert: '/x' } }, /rootcert/],
  [{ slot: 'Shop' }, /^slot: .*lower-case/],
  [{ slot: 's'.repeat(64) }, /^slot: .*63/],
  [{ slot: '' }, /^slot/],
  [{ publication: 'é'.repeat(32) }, /^publication: .*63 bytes/],
  [{ port: 0 }, /^port: .*65535/],
  [{ port: 'a' }, /^port/],
  [{ heartbeat: {} }, /^heartbeat.interval/],
  [{ heartbeat: { interval: '0s' } }, /^heartbeat.interval: expected a duration between/],
  [{ heartbeat: { interval: '60d' } }, /^heartbeat.interval: expected a duration between/],
  [{ wal_budget: '0B' }, /^wal_budget: expected more/],
  [{ wal_budget: 5 }, /^wal_budget: expected a size/],
  [{ confirm: 'always' }, /^confirm/],
  [{ urls: 'x' }, /urls/],
])('%j is refused', (config, message) => {
  expect(issues(config)[0]).toMatch(message);
});

test('slot and publication are named after the pipeline unless given', () => {
  expect(serverNames({ slot: undefined, publication: undefined }, 'Shop-EU.v2')).toEqual({
    slot: 'tailrace_shop_eu_v2',
    publication: 'tailrace_shop_eu_v2',
  });
  expect(serverNames({ slot: 's', publication: undefined }, 'x')).toEqual({ slot: 's', publication: 's' });
  expect(serverNames({ slot: 's', publication: 'P' }, 'x')).toEqual({ slot: 's', publication: 'P' });
  const refused = expect.objectContaining({ code: 'E_CONFIG', fix: expect.stringContaining('slot:') });
  expect(() => serverNames({ slot: undefined, publication: undefined }, 'löwe')).toThrow(refused);
  expect(() => serverNames({ slot: undefined, publication: undefined }, 'x'.repeat(60))).toThrow(refused);
});

test('every option is described and shown by example, for the reference and for editors', () => {
  interface Node {
    readonly type?: string;
    readonly description?: string;
    readonly examples?: readonly unknown[];
    readonly properties?: Readonly<Record<string, Node>>;
    readonly required?: readonly string[];
    readonly default?: unknown;
  }
  const schema = z.toJSONSchema(postgresSource, { io: 'input' }) as Node;
  expect(schema.required ?? []).toEqual([]);
  expect(schema.properties?.wal_budget).toMatchObject({ type: 'string', default: '1GiB' });
  const undescribed: string[] = [];
  const visit = (node: Node, path: string): void => {
    for (const [name, child] of Object.entries(node.properties ?? {})) {
      if (child.description === undefined) undescribed.push(`${path}${name}`);
      if (child.properties === undefined && child.examples === undefined)
        undescribed.push(`${path}${name} (example)`);
      visit(child, `${path}${name}.`);
    }
  };
  visit(schema, '');
  expect(undescribed).toEqual([]);
});
