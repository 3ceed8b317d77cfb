import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SqliteConfig, SqliteMapping } from '../../../connectors/sqlite/config.ts';
import { sqliteConnector } from '../../../connectors/sqlite/sqlite-connector.ts';
import type { CheckInput } from '../../../src/delivery/sink.ts';
import { relation, sinkContext } from '../batch-builder.ts';
import { MirrorFile, toMirror } from './mirror-harness.ts';

const orders = relation({ table: 'orders', key: ['id'], columns: { id: 'int4', note: 'text' } });

async function findings(path: string, tables: CheckInput<SqliteConfig, SqliteMapping>['tables'] = []) {
  const found: string[] = [];
  const input = {
    config: sqliteConnector.config.parse({ path }),
    context: sinkContext({ dataDir: '/nowhere' }),
    tables,
    signal: new AbortController().signal,
  };
  for await (const { level, about } of sqliteConnector.check(input)) found.push(`${level}: ${about}`);
  return found;
}

test('the file is looked at and not made', async () => {
  await using file = new MirrorFile();
  expect(await findings(join(file.dir, 'new', 'x.db'))).toEqual([
    `ok: ${join(file.dir, 'new', 'x.db')} will be made`,
  ]);
  expect(existsSync(join(file.dir, 'new'))).toBe(false);
  const { sink } = await file.open();
  await sink.close();
  expect(await findings(file.path)).toEqual([`ok: ${file.path} is a SQLite database`]);
  writeFileSync(join(file.dir, 'text.db'), 'words '.repeat(1000));
  expect((await findings(join(file.dir, 'text.db')))[0]).toMatch(/^error: .* is not a sound SQLite database/);
});

test.skipIf(process.getuid?.() === 0)('a directory without write access', async () => {
  await using file = new MirrorFile();
  const closed = join(file.dir, 'closed');
  mkdirSync(closed);
  chmodSync(closed, 0o500);
  expect((await findings(join(closed, 'x.db')))[0]).toMatch(/^error: .* is not writable/);
});

test('every mapping is judged with its table', async () => {
  await using file = new MirrorFile();
  const keyless = relation({ table: 'log', columns: { line: 'text' } });
  const whole = relation({ table: 'bag', columns: { line: 'text' }, replicaIdentity: 'full' });
  const twin = relation({ schema: 'audit', table: 'Orders', key: ['id'], columns: { id: 'int4' } });
  const [, ...found] = await findings(file.path, [
    { mapping: toMirror(), relation: orders },
    { mapping: toMirror(), relation: keyless },
    { mapping: toMirror(), relation: whole },
    { mapping: toMirror(), relation: twin },
    {
      mapping: toMirror({ table: 's', search: { columns: ['note'], tokenizer: 'klingon' } }),
      relation: orders,
    },
  ]);
  expect(found).toEqual([
    'ok: public.orders -> mirror: mirrored as table orders',
    expect.stringMatching(/^error: .*public\.log has no primary key/),
    'ok: public.orders -> mirror: mirrored as table bag, rows matched whole',
    expect.stringMatching(/^error: .*audit\.Orders and public\.orders would share the mirror table Orders/),
    expect.stringMatching(/^error: .*no tokenizer "klingon"/),
  ]);
});
