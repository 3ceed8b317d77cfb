import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createSocketServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findEngine } from './docker.ts';

/** DOCKER_HOST of something that listens on a socket of its own. */
async function listening(server: Server): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tailrace-docker-'));
  const socketPath = join(directory, 'docker.sock');
  server.listen(socketPath);
  await once(server, 'listening');
  onTestFinished(async () => {
    server.close();
    await rm(directory, { recursive: true });
  });
  return `unix://${socketPath}`;
}

test('an engine is one that answers a ping', async () => {
  const engine = createServer((request, response) => {
    response.statusCode = request.url === '/_ping' ? 200 : 404;
    response.end('OK');
  });
  expect(await findEngine({ DOCKER_HOST: await listening(engine) })).toBe(true);
});

test('one that accepts and says nothing is given up within seconds', async () => {
  const silent = createSocketServer((socket) => {
    onTestFinished(() => {
      socket.destroy();
    });
  });
  const startedMs = performance.now();
  expect(await findEngine({ DOCKER_HOST: await listening(silent) })).toBe(false);
  expect(performance.now() - startedMs).toBeLessThan(10_000);
});

test.each(['unix:///nonexistent/docker.sock', 'tcp://127.0.0.1:1', 'nonsense'])(
  'there is none at %s',
  async (host) => {
    expect(await findEngine({ DOCKER_HOST: host })).toBe(false);
  },
);
