import { expect, test } from 'vitest';
import { BulkLimits } from '../../../../connectors/elasticsearch/bulk/bulk-limits.ts';
import { Permits } from '../../../../connectors/elasticsearch/bulk/permits.ts';
import { Sends } from '../../../../connectors/elasticsearch/bulk/sends.ts';

function deferred(): { readonly promise: Promise<void>; resolve(): void; reject(error: Error): void } {
  return Promise.withResolvers<void>();
}

async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test('permits bound what runs at once; overload halves, calm restores', async () => {
  const permits = new Permits(4);
  let running = 0;
  const gates = Array.from({ length: 8 }, deferred);
  const all = gates.map(({ promise }) =>
    permits.use(async () => {
      running++;
      await promise;
      running--;
    }),
  );
  await settle();
  expect(running).toBe(4);
  permits.overloaded();
  expect(permits.limit).toBe(2);
  for (const gate of gates.slice(0, 3)) gate.resolve();
  await settle();
  expect(running).toBe(2);
  for (const gate of gates) gate.resolve();
  await Promise.all(all);
  for (let i = 0; i < 40; i++) permits.succeeded();
  expect(permits.limit).toBe(4);
  for (let i = 0; i < 5; i++) permits.overloaded();
  expect(permits.limit).toBe(1);
});

test('a bulk that is too much halves the size, down to a floor; calm restores it', () => {
  const limits = new BulkLimits({ bytes: 1_000_000, actions: 10 });
  limits.tooMuch(800_000);
  expect(limits.bytes).toBe(400_000);
  for (let i = 0; i < 10; i++) limits.tooMuch(1);
  expect(limits.bytes).toBe(16 * 1024);
  for (let i = 0; i < 20 * 7; i++) limits.succeeded();
  expect(limits.bytes).toBe(1_000_000);
});

test('a failure surfaces only when nothing is left running', async () => {
  const sends = new Sends(2);
  const [slow, failing] = [deferred(), deferred()];
  await sends.start(() => slow.promise);
  await sends.start(() => failing.promise);
  let drained = false;
  const draining = sends.drain().finally(() => {
    drained = true;
  });
  draining.catch(() => {});
  failing.reject(new Error('reset'));
  await settle();
  expect(drained).toBe(false);
  slow.resolve();
  await expect(draining).rejects.toThrow('reset');
});

test('after a failure nothing more is started', async () => {
  const sends = new Sends(1);
  await sends.start(() => Promise.reject(new Error('reset')));
  await settle();
  let started = false;
  await expect(
    sends.start(async () => {
      started = true;
    }),
  ).rejects.toThrow('reset');
  expect(started).toBe(false);
});
