import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Certificate } from './certificates.ts';
import { elasticsearchDistribution } from './elasticsearch-distribution.ts';
import { freePorts } from './free-port.ts';
import { GuardedProcess } from './guarded-process.ts';
import { javaEnvironment } from './java.ts';
import type { JavaServer } from './kafka-distribution.ts';
import { chooseIdentity, giveTo, type Identity } from './unprivileged.ts';
import { waitFor } from './wait.ts';

export interface ElasticsearchSecurity {
  /** Name to password; each is a superuser. */
  readonly users: Readonly<Record<string, string>>;
  /** For 127.0.0.1 or localhost: HTTPS instead of HTTP. */
  readonly certificate?: Certificate | undefined;
}

export interface LocalElasticsearchOptions {
  /** Configuration and data; kept. Default: a temporary one, removed at the end. */
  readonly dir?: string | undefined;
  /** Default: a free port. It stays the same over restarts. */
  readonly port?: number | undefined;
  /** elasticsearch.yml settings over those below, such as `thread_pool.write.queue_size`. */
  readonly config?: Readonly<Record<string, string | number | boolean>> | undefined;
  readonly security?: ElasticsearchSecurity | undefined;
  readonly heapMiB?: number | undefined;
  /** Whom the server runs as when we are root; default: whatever can reach its files. */
  readonly identity?: Identity | undefined;
}

/** One real node on 127.0.0.1. */
export async function startLocalElasticsearch(
  options: LocalElasticsearchOptions = {},
): Promise<LocalElasticsearch> {
  const cached = await elasticsearchDistribution();
  const temporary = options.dir === undefined;
  const dir = resolve(options.dir ?? (await mkdtemp(join(tmpdir(), 'tailrace-elasticsearch-'))));
  try {
    await mkdir(dir, { recursive: true });
    const reachable = await reachableFor(cached, options.identity, dir);
    const [port = 0, transportPort = 0] = await freePorts(2);
    const server = new LocalElasticsearch({
      ...reachable,
      dir,
      temporary,
      port: options.port ?? port,
      transportPort,
      options,
    });
    await server.start();
    return server;
  } catch (error) {
    if (temporary) await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    throw error;
  }
}

interface ElasticsearchParts {
  readonly distribution: JavaServer;
  readonly identity: Identity;
  readonly dir: string;
  readonly temporary: boolean;
  readonly port: number;
  readonly transportPort: number;
  readonly options: LocalElasticsearchOptions;
}

export class LocalElasticsearch implements AsyncDisposable {
  readonly #parts: ElasticsearchParts;
  readonly port: number;
  /** Without user and password. */
  readonly url: string;
  #process: GuardedProcess | undefined;

  /** Use {@link startLocalElasticsearch}. */
  constructor(parts: ElasticsearchParts) {
    this.#parts = parts;
    this.port = parts.port;
    const scheme = parts.options.security?.certificate === undefined ? 'http' : 'https';
    this.url = `${scheme}://127.0.0.1:${parts.port}`;
  }

  get running(): boolean {
    return this.#process?.running === true;
  }

  get logFile(): string {
    return join(this.#parts.dir, 'server.log');
  }

  /** Starts again after stop() or kill9(), on the same port and data; changed settings last until the next start. */
  async start(config: Readonly<Record<string, string | number | boolean>> = {}): Promise<void> {
    if (this.running) throw new Error(`Elasticsearch is running already on port ${this.port}.`);
    const { dir, distribution, identity, temporary } = this.#parts;
    await this.#configure(config);
    const server = new GuardedProcess({
      name: `Elasticsearch on port ${this.port}`,
      command: distribution.java,
      // What bin/elasticsearch would run; it stays as the parent of the server and ends with it.
      args: [
        '-Xms4m',
        '-Xmx64m',
        '-XX:+UseSerialGC',
        '-XX:TieredStopAtLevel=1',
        '-cp',
        join(distribution.home, 'lib', 'tools', 'server-launcher', '*'),
        'org.elasticsearch.server.launcher.ServerLauncher',
      ],
      identity,
      env: this.#environment(),
      cwd: distribution.home,
      logFile: this.logFile,
      removeOnDeath: temporary ? [dir] : [],
      deathSignal: 'KILL',
    });
    this.#process = server;
    try {
      const ready = waitFor(async () => this.#isHealthy(), {
        timeoutMs: 180_000,
        intervalMs: 200,
        describe: `Elasticsearch on port ${this.port} to be healthy (see ${this.logFile})`,
      });
      ready.catch(() => {});
      await Promise.race([ready, server.failedStart()]);
    } catch (error) {
      await server.stop('SIGKILL');
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#process?.stop('SIGTERM', 30_000);
    this.#process = undefined;
  }

  async kill9(): Promise<void> {
    await this.#process?.stop('SIGKILL');
    this.#process = undefined;
  }

  /** Stops at once; a temporary directory goes away. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill9();
    const { dir, temporary } = this.#parts;
    if (temporary) await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }

  async #configure(config: Readonly<Record<string, string | number | boolean>>): Promise<void> {
    const { dir, distribution, identity, port, transportPort, options } = this.#parts;
    const configDir = join(dir, 'config');
    for (const directory of [dir, configDir, ...['data', 'logs', 'tmp'].map((name) => join(dir, name))]) {
      await mkdir(directory, { recursive: true });
      giveTo(identity, directory);
    }
    const settings = {
      'cluster.name': 'tailrace-test',
      'node.name': 'node-1',
      'path.data': join(dir, 'data'),
      'path.logs': join(dir, 'logs'),
      'network.host': '127.0.0.1',
      'http.port': port,
      'transport.port': transportPort,
      'discovery.type': 'single-node',
      // A full disk of the developer's would make every index read-only.
      'cluster.routing.allocation.disk.threshold_enabled': false,
      'xpack.security.enabled': options.security !== undefined,
      ...(options.security?.certificate === undefined
        ? {}
        : {
            'xpack.security.http.ssl.enabled': true,
            'xpack.security.http.ssl.certificate': 'http.crt',
            'xpack.security.http.ssl.key': 'http.key',
          }),
      ...options.config,
      ...config,
    };
    const stockConfig = join(distribution.home, 'config');
    const jvmOptions = await readFile(join(stockConfig, 'jvm.options'), 'utf8');
    const files: Record<string, string> = {
      'elasticsearch.yml': Object.entries(settings)
        .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
        .join(''),
      'log4j2.properties': await readFile(join(stockConfig, 'log4j2.properties'), 'utf8'),
      'jvm.options': jvmOptions
        .split('\n')
        .filter((line) => !/^-Xlog|^-XX:ErrorFile|HeapDumpOnOut|UseG1GC/.test(line))
        .join('\n'),
      ...securityFiles(options.security),
    };
    for (const [name, text] of Object.entries(files)) {
      const file = join(configDir, name);
      await writeFile(file, text, { mode: 0o600 });
      giveTo(identity, file);
    }
  }

  #environment(): NodeJS.ProcessEnv {
    const { dir, distribution, options } = this.#parts;
    const tmp = join(dir, 'tmp');
    return {
      ...javaEnvironment(),
      ES_HOME: distribution.home,
      ES_PATH_CONF: join(dir, 'config'),
      ES_TMPDIR: tmp,
      LIBFFI_TMPDIR: tmp,
      ES_DISTRIBUTION_TYPE: 'zip',
      JAVA: distribution.java,
      JAVA_TYPE: 'ES_JAVA_HOME',
      // Quick to start and small beats quick in the long run: C1 only, serial collector, memory as needed.
      ES_JAVA_OPTS: `-Xms128m -Xmx${options.heapMiB ?? 512}m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-AlwaysPreTouch`,
    };
  }

  async #isHealthy(): Promise<boolean> {
    const { security } = this.#parts.options;
    const [user] = Object.entries(security?.users ?? {});
    const health = `${this.url}/_cluster/health?wait_for_status=yellow&timeout=2s`;
    return new Promise((answered, failed) => {
      const options = {
        timeout: 5000,
        // Readiness only; tests check certificates with their own clients.
        rejectUnauthorized: false,
        ...(user === undefined ? {} : { auth: user.join(':') }),
      };
      const request = (this.url.startsWith('https:') ? httpsGet : httpGet)(health, options, (response) => {
        response.resume();
        answered(response.statusCode === 200);
      });
      request.once('timeout', () => request.destroy(new Error('no answer within 5 s')));
      request.once('error', failed);
    });
  }
}

/** As root the server runs as somebody else, who has to be able to read its files: at worst a copy of them. */
async function reachableFor(
  distribution: JavaServer,
  wanted: Identity | undefined,
  dir: string,
): Promise<{ readonly distribution: JavaServer; readonly identity: Identity }> {
  const reach = { program: distribution.java, args: ['-version'], readable: join(distribution.home, 'lib') };
  const { identity, reaches } = chooseIdentity(reach, wanted);
  if (reaches) return { distribution, identity };
  const home = join(dir, 'distribution');
  await cp(distribution.home, home, { recursive: true });
  return { distribution: { ...distribution, home }, identity };
}

/** The file realm (users and users_roles in the configuration), whose hashes need no tool of the distribution. */
function securityFiles(security: ElasticsearchSecurity | undefined): Record<string, string> {
  if (security === undefined) return {};
  const names = Object.keys(security.users);
  return {
    users: Object.entries(security.users)
      .map(([name, password]) => `${name}:${passwordHash(password)}\n`)
      .join(''),
    users_roles: `superuser:${names.join(',')}\n`,
    ...(security.certificate === undefined
      ? {}
      : { 'http.crt': security.certificate.certificate, 'http.key': security.certificate.key }),
  };
}

function passwordHash(password: string): string {
  const cost = 1000;
  const salt = randomBytes(32);
  const hash = pbkdf2Sync(password, salt, cost, 32, 'sha512');
  return `{PBKDF2}${cost}$${salt.toString('base64')}$${hash.toString('base64')}`;
}
