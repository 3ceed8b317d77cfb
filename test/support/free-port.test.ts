import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { freePorts } from './free-port.ts';
import { runToEnd } from './service-cache.ts';

test('no port is given away twice while its process lives, whether or not anybody listens', async () => {
  const mine = await freePorts(200);
  expect(new Set(mine).size).toBe(200);
  const script = `
    import { freePorts } from '${import.meta.dirname}/free-port.ts';
    process.stdout.write((await freePorts(2000)).join());`;
  const { code, output } = await runToEnd(process.execPath, [
    '--input-type=module-typescript',
    '--eval',
    script,
  ]);
  expect(code).toBe(0);
  const theirs = new Set(output.split(',').map(Number));
  expect(theirs.size).toBe(2000);
  expect(mine.filter((port) => theirs.has(port))).toEqual([]);
});

test('what it gives can be listened on at once', async () => {
  const servers = (await freePorts(20)).map((port) => createServer().listen(port, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  for (const server of servers) server.close();
});
