import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { homedir } from 'node:os';
import { join } from 'node:path';

const patienceMs = 2000;

let answer: Promise<boolean> | undefined;

/** Whether a Docker engine answers within two seconds. A `docker` client without an engine would wait for longer. */
export async function dockerAnswers(): Promise<boolean> {
  answer ??= findEngine(process.env);
  return answer;
}

/** Where testcontainers would look too. An engine behind TLS or ssh is not found: give its servers by their URLs. */
export async function findEngine(env: NodeJS.ProcessEnv): Promise<boolean> {
  const host = env['DOCKER_HOST'];
  if (host !== undefined && host !== '') {
    const url = URL.parse(host);
    if (url === null) return false;
    if (url.protocol === 'unix:') return ping({ socketPath: url.pathname });
    return ping({ host: url.hostname, port: Number(url.port || 2375) });
  }
  const runtimeDir = env['XDG_RUNTIME_DIR'];
  const sockets = [
    '/var/run/docker.sock',
    ...(runtimeDir === undefined ? [] : [join(runtimeDir, 'docker.sock')]),
    join(homedir(), '.docker/run/docker.sock'),
    join(homedir(), '.docker/desktop/docker.sock'),
  ].filter((path) => existsSync(path));
  const answers = await Promise.all(sockets.map((socketPath) => ping({ socketPath })));
  return answers.includes(true);
}

async function ping(address: { socketPath: string } | { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(patienceMs);
    const asked = request({ ...address, path: '/_ping', signal }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.once('error', () => resolve(false));
    asked.end();
  });
}
