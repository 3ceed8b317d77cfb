import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

/**
 * Below the range the kernel takes the local ports of outgoing connections from (32768 and up on Linux), so that
 * a server gets its port again when it restarts.
 */
const lowest = 15_000;
const end = 32_000;

/** A file per port that names the process it was given to: a server that is down for a moment keeps its port. */
const reservations = join(tmpdir(), `tailrace-ports-${userInfo().uid}`);

/** A TCP port of 127.0.0.1 that nobody listens on, and that no other call gives away while this process lives. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

/** Several at once. */
export async function freePorts(count: number): Promise<readonly number[]> {
  mkdirSync(reservations, { recursive: true });
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(lowest, end);
    if (reserve(port) && (await isFree(port))) ports.push(port);
  }
  return ports;
}

function reserve(port: number): boolean {
  const file = join(reservations, String(port));
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  // Left by a dead process it is free for the next call, which may be another process's.
  if (!isHeld(file)) rmSync(file, { force: true });
  return false;
}

function isHeld(file: string): boolean {
  try {
    return process.kill(Number(readFileSync(file, 'utf8')), 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error;
    return false;
  } finally {
    server.close();
  }
}
