import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';
import { waitFor } from './wait.ts';

/** What the server and the client of one test have seen. */
class Peer {
  received = Buffer.alloc(0);
  ended = false;
  errorCode: string | undefined;
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.errorCode = error.code;
    });
  }
}

let server: Server;
let proxy: TcpProxy;
let accepted: Peer[];
let clients: Peer[];

beforeEach(async () => {
  accepted = [];
  clients = [];
  server = createServer({ allowHalfOpen: true }, (socket) => accepted.push(new Peer(socket)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await startTcpProxy({ port: (server.address() as AddressInfo).port });
});

afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  for (const { socket } of [...clients, ...accepted]) socket.destroy();
  await new Promise((closed) => server.close(closed));
});

function open(): Peer {
  const client = new Peer(connect({ host: proxy.host, port: proxy.port, allowHalfOpen: true }));
  clients.push(client);
  return client;
}

async function openBoth(): Promise<{ client: Peer; remote: Peer }> {
  const client = open();
  const count = accepted.length;
  await waitFor(() => accepted.length > count, { describe: 'the server to see the connection' });
  return { client, remote: accepted.at(-1) as Peer };
}

test('passes both directions, counts the bytes, and half-closes', async () => {
  const { client, remote } = await openBoth();
  const sent = Buffer.alloc(3_000_000, 'x');
  client.socket.end(sent);
  await waitFor(() => remote.ended, { describe: 'the end of what the client sent' });
  expect(remote.received.equals(sent)).toBe(true);
  expect(client.ended).toBe(false);
  remote.socket.end('answer');
  await waitFor(() => client.ended);
  expect(client.received.toString()).toBe('answer');
  expect(proxy.bytes).toEqual({ up: 3_000_000, down: 6 });
  await waitFor(() => proxy.connections === 0, { describe: 'the closed connection to be forgotten' });
});

test('cut resets both ends, and the next connection passes', async () => {
  const { client, remote } = await openBoth();
  proxy.cut();
  await waitFor(() => client.errorCode !== undefined && remote.errorCode !== undefined);
  expect([client.errorCode, remote.errorCode]).toEqual(['ECONNRESET', 'ECONNRESET']);
  const next = await openBoth();
  next.client.socket.write('again');
  await waitFor(() => next.remote.received.toString() === 'again');
});

test('cutAfter forwards exactly so many bytes, then cuts once', async () => {
  const { client, remote } = await openBoth();
  client.socket.write('12345');
  await waitFor(() => remote.received.length === 5);
  proxy.cutAfter('up', 3);
  client.socket.write('67890');
  await waitFor(() => client.errorCode !== undefined);
  expect(remote.received.toString()).toBe('12345678');
  const next = await openBoth();
  next.client.socket.write('all of it');
  await waitFor(() => next.remote.received.toString() === 'all of it');
});

test('stall holds back both directions and the end of the connection; pass delivers late', async () => {
  const { client, remote } = await openBoth();
  proxy.stall();
  client.socket.end('up');
  remote.socket.write('down');
  const during = await openDuringStall();
  expect(remote.received.length + client.received.length).toBe(0);
  expect(remote.ended).toBe(false);
  await proxy.pass();
  await waitFor(() => remote.ended && client.received.toString() === 'down');
  expect(remote.received.toString()).toBe('up');
  await waitFor(() => accepted.at(-1)?.received.toString() === 'hello', {
    describe: `the connection of the stall (${during.socket.localPort}) to reach the server`,
  });
});

/** Accepted by the proxy, unseen by the server: proof that time passed for the proxy too. */
async function openDuringStall(): Promise<Peer> {
  const before = { accepted: accepted.length, byProxy: proxy.accepted };
  const client = open();
  client.socket.write('hello');
  await waitFor(() => proxy.accepted > before.byProxy && client.socket.bytesWritten === 5);
  expect(accepted.length).toBe(before.accepted);
  return client;
}

test('stall of one direction leaves the other alone', async () => {
  const { client, remote } = await openBoth();
  proxy.stall('down');
  client.socket.write('question');
  await waitFor(() => remote.received.toString() === 'question');
  remote.socket.write('answer');
  client.socket.write(' and more');
  await waitFor(() => remote.received.toString() === 'question and more');
  expect(client.received.length).toBe(0);
  proxy.stall('up');
  await waitFor(() => client.received.toString() === 'answer');
  expect(proxy.mode).toBe('stall');
});

test('refuse resets what is open and refuses the next; pass listens on the same port again', async () => {
  const { client } = await openBoth();
  const { port } = proxy;
  await proxy.refuse();
  expect(proxy.mode).toBe('refuse');
  await waitFor(() => client.errorCode === 'ECONNRESET');
  const refused = open();
  await waitFor(() => refused.errorCode !== undefined);
  expect(refused.errorCode).toBe('ECONNREFUSED');
  await proxy.pass();
  expect(proxy.port).toBe(port);
  await openBoth();
});

test('a server that is not there resets the client', async () => {
  await using lost = await startTcpProxy({ port: 1 });
  const client = new Peer(connect({ host: lost.host, port: lost.port }));
  clients.push(client);
  await waitFor(() => client.errorCode === 'ECONNRESET');
});

test('url puts the proxy into a URL', () => {
  expect(proxy.url('postgresql://u:p@db.example:5432/shop')).toBe(
    `postgresql://u:p@127.0.0.1:${proxy.port}/shop`,
  );
});
