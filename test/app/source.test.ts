import { expect, test } from 'vitest';
import { registry } from '../../src/app/registry.ts';
import { grantsFor } from '../../src/app/source.ts';
import { loadConfig } from '../../src/config/load-config.ts';

test('certificate files are relative to the configuration file', async () => {
  const text = `
pipeline: shop
source: { url: "postgres://u@127.0.0.1:1/shop", ssl: { mode: verify-full, ca: ./ca.pem } }
sinks: { out: { type: stdout } }
tables: { public.t: { to: out } }
`;
  const config = loadConfig({ file: '/nowhere/conf/tailrace.yaml', text, env: {}, registry });
  await expect(grantsFor(config, undefined, AbortSignal.timeout(10_000))).rejects.toMatchObject({
    code: 'E_TLS',
    message: expect.stringContaining('/nowhere/conf/ca.pem'),
  });
});
