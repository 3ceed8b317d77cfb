import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Certificate } from './certificates.ts';
import { freePorts } from './free-port.ts';
import { GuardedProcess } from './guarded-process.ts';
import { javaEnvironment } from './java.ts';
import { type JavaServer, kafkaDistribution } from './kafka-distribution.ts';
import { brokerAnswers } from './kafka-readiness.ts';
import { runToEnd } from './service-cache.ts';
import { waitFor } from './wait.ts';

type Properties = Readonly<Record<string, string | number | boolean>>;

export interface LocalKafkaOptions {
  /** An absent or empty directory is formatted, a formatted one is started and kept. Default: a temporary one, removed at the end. */
  readonly dataDir?: string | undefined;
  /** Of the PLAINTEXT listener; default: a free port. All ports stay the same over restarts. */
  readonly port?: number | undefined;
  /** Over the properties below. */
  readonly extraProperties?: Properties | undefined;
  /** Name to password: adds a SASL_PLAINTEXT listener (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512), and SASL_SSL with a certificate. */
  readonly users?: Readonly<Record<string, string>> | undefined;
  /** For 127.0.0.1 or localhost: adds an SSL listener, and SASL_SSL with users. */
  readonly certificate?: Certificate | undefined;
}

export type KafkaListener = 'PLAINTEXT' | 'SASL_PLAINTEXT' | 'SSL' | 'SASL_SSL';

/** One real node, broker and controller, on 127.0.0.1. Topics are created by who needs them, never by asking for them. */
export async function startLocalKafka(options: LocalKafkaOptions = {}): Promise<LocalKafka> {
  const distribution = await kafkaDistribution();
  const temporary = options.dataDir === undefined;
  const dir = resolve(options.dataDir ?? (await mkdtemp(join(tmpdir(), 'tailrace-kafka-'))));
  try {
    await mkdir(dir, { recursive: true });
    const server = new LocalKafka({
      distribution,
      dir,
      temporary,
      listeners: await planListeners(options),
      options,
    });
    await server.format();
    await server.start();
    return server;
  } catch (error) {
    if (temporary) await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    throw error;
  }
}

interface KafkaParts {
  readonly distribution: JavaServer;
  readonly dir: string;
  readonly temporary: boolean;
  readonly listeners: ReadonlyMap<KafkaListener | 'CONTROLLER', number>;
  readonly options: LocalKafkaOptions;
}

export class LocalKafka implements AsyncDisposable {
  readonly #parts: KafkaParts;
  #process: GuardedProcess | undefined;

  /** Use {@link startLocalKafka}. */
  constructor(parts: KafkaParts) {
    this.#parts = parts;
  }

  /** host:port of the PLAINTEXT listener. */
  get brokers(): string {
    return this.address('PLAINTEXT');
  }

  get port(): number {
    return this.#port('PLAINTEXT');
  }

  get pid(): number {
    if (this.#process === undefined) throw new Error('Kafka is not running.');
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#process?.running === true;
  }

  get logFile(): string {
    return join(this.#parts.dir, 'server.log');
  }

  /** host:port of a listener; the options say which there are. */
  address(listener: KafkaListener): string {
    return `127.0.0.1:${this.#port(listener)}`;
  }

  /** Starts again after stop() or kill9(), on the same ports and data. */
  async start(): Promise<void> {
    if (this.running) throw new Error(`Kafka is running already on port ${this.port}.`);
    await this.#writeProperties('server.properties', this.#properties());
    if (this.#wasKilled()) await this.#fenceFormerSession();
    await this.#launch('server.properties', async (log) => {
      // The line says that its partitions have their leader, the answer that clients can ask.
      return log.includes('Kafka Server started') && (await brokerAnswers(this.brokers));
    });
  }

  /** A controlled shutdown. */
  async stop(): Promise<void> {
    await this.#process?.stop('SIGTERM');
    this.#process = undefined;
  }

  /** SIGKILL. The next start() takes about two seconds longer. */
  async kill9(): Promise<void> {
    await this.#process?.stop('SIGKILL');
    this.#process = undefined;
  }

  /** Stops at once; a temporary data directory goes away. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill9();
    const { dir, temporary } = this.#parts;
    if (temporary) await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Prepares an empty data directory, with the users' SCRAM credentials; a no-op for a formatted one. */
  async format(): Promise<void> {
    const { dir, distribution, options } = this.#parts;
    if (existsSync(join(dir, 'data', 'meta.properties'))) return;
    await this.#writeProperties('server.properties', this.#properties());
    // A cluster id must not look like an option.
    const clusterId = `T${randomBytes(16).toString('base64url').slice(1)}`;
    const credentials = Object.entries(options.users ?? {}).flatMap(([name, password]) =>
      ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
        '--add-scram',
        `${mechanism}=[name=${name},password=${password}]`,
      ]),
    );
    const { code, output } = await runToEnd(distribution.java, [
      ...this.#java('-Xmx64m'),
      'kafka.tools.StorageTool',
      'format',
      '-t',
      clusterId,
      '-c',
      join(dir, 'server.properties'),
      ...credentials,
    ]);
    if (code !== 0) throw new Error(`Kafka's storage could not be formatted (${code}):\n${output}`);
  }

  /** `isReady` is asked with what the process has logged so far. */
  async #launch(propertiesFile: string, isReady: (log: Buffer) => Promise<boolean>): Promise<void> {
    const { dir, distribution, temporary } = this.#parts;
    const before = existsSync(this.logFile) ? (await stat(this.logFile)).size : 0;
    const server = new GuardedProcess({
      name: `Kafka on port ${this.port}`,
      command: distribution.java,
      // Quick to start and small beats quick in the long run: C1 only, serial collector.
      args: [...this.#java('-Xms128m', '-Xmx384m'), 'kafka.Kafka', join(dir, propertiesFile)],
      env: javaEnvironment(),
      cwd: dir,
      logFile: this.logFile,
      removeOnDeath: temporary ? [dir] : [],
      deathSignal: 'KILL',
    });
    this.#process = server;
    try {
      const ready = waitFor(async () => isReady((await readFile(this.logFile)).subarray(before)), {
        timeoutMs: 90_000,
        intervalMs: 100,
        describe: `Kafka on port ${this.port} to answer (see ${this.logFile})`,
      });
      ready.catch(() => {});
      await Promise.race([ready, server.failedStart()]);
    } catch (error) {
      await server.stop('SIGKILL');
      throw error;
    }
  }

  #wasKilled(): boolean {
    const data = join(this.#parts.dir, 'data');
    return existsSync(join(data, '__cluster_metadata-0')) && !existsSync(join(data, '.kafka_cleanshutdown'));
  }

  /**
   * A killed broker counts as alive until its session ends, and a lone node that starts within that time leads its
   * partitions, is fenced, and leads them again. Kafka 4.3 can then take the partitions of a transaction whose commit was
   * being written for deleted and drop its markers: an acknowledged transaction stays open for ever. In a cluster the controllers
   * survive and fence a dead broker before it returns; so does this controller, on the same metadata.
   */
  async #fenceFormerSession(): Promise<void> {
    const { dir } = this.#parts;
    const controller = `CONTROLLER://127.0.0.1:${this.#port('CONTROLLER')}`;
    const { 'advertised.listeners': _, 'inter.broker.listener.name': __, ...shared } = this.#properties();
    await this.#writeProperties('controller.properties', {
      ...shared,
      'process.roles': 'controller',
      listeners: controller,
      'broker.session.timeout.ms': 200,
      'broker.heartbeat.interval.ms': 100,
    });
    await this.#launch('controller.properties', async (log) => log.includes('Fencing broker 1 '));
    await this.stop();
    await rm(join(dir, 'controller.properties'));
  }

  async #writeProperties(file: string, properties: Properties): Promise<void> {
    const { dir, options } = this.#parts;
    const text = Object.entries({ ...properties, ...options.extraProperties })
      .map(([key, value]) => `${key}=${value}\n`)
      .join('');
    await writeFile(join(dir, file), text, { mode: 0o600 });
  }

  #java(...memory: readonly string[]): readonly string[] {
    return [
      ...memory,
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      '-Xshare:auto',
      '-Djava.awt.headless=true',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      '-Dorg.slf4j.simpleLogger.showDateTime=true',
      '-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info',
      '-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller=info',
      '-cp',
      join(this.#parts.distribution.home, 'libs', '*'),
    ];
  }

  #port(listener: KafkaListener | 'CONTROLLER'): number {
    const port = this.#parts.listeners.get(listener);
    if (port === undefined) throw new Error(`This Kafka has no ${listener} listener.`);
    return port;
  }

  #properties(): Properties {
    const { dir, listeners, options } = this.#parts;
    const all = [...listeners].map(([name, port]) => `${name}://127.0.0.1:${port}`);
    return {
      'process.roles': 'broker,controller',
      'node.id': 1,
      'controller.quorum.voters': `1@127.0.0.1:${this.#port('CONTROLLER')}`,
      listeners: all.join(','),
      'advertised.listeners': all.filter((listener) => !listener.startsWith('CONTROLLER:')).join(','),
      'controller.listener.names': 'CONTROLLER',
      'listener.security.protocol.map': [...listeners.keys()]
        .map((name) => `${name}:${name === 'CONTROLLER' ? 'PLAINTEXT' : name}`)
        .join(','),
      'inter.broker.listener.name': 'PLAINTEXT',
      'log.dirs': join(dir, 'data'),
      'num.network.threads': 2,
      'num.io.threads': 2,
      'background.threads': 2,
      'auto.create.topics.enable': false,
      'num.partitions': 1,
      'default.replication.factor': 1,
      // One partition each: fifty directories would be made at the first use.
      'offsets.topic.replication.factor': 1,
      'offsets.topic.num.partitions': 1,
      'transaction.state.log.replication.factor': 1,
      'transaction.state.log.min.isr': 1,
      'transaction.state.log.num.partitions': 1,
      'share.coordinator.state.topic.replication.factor': 1,
      'share.coordinator.state.topic.min.isr': 1,
      'share.coordinator.state.topic.num.partitions': 1,
      'group.initial.rebalance.delay.ms': 0,
      'log.cleaner.dedupe.buffer.size': 4_194_304,
      'log.retention.hours': -1,
      ...saslProperties(options.users),
      ...this.#tlsProperties(),
    };
  }

  #tlsProperties(): Properties {
    const { certificate } = this.#parts.options;
    if (certificate === undefined) return {};
    return {
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.key': certificate.key.trimEnd().replaceAll('\n', ' \\\n  '),
      'ssl.keystore.certificate.chain': certificate.certificate.trimEnd().replaceAll('\n', ' \\\n  '),
    };
  }
}

async function planListeners(
  options: LocalKafkaOptions,
): Promise<ReadonlyMap<KafkaListener | 'CONTROLLER', number>> {
  const { users, certificate } = options;
  const names: (KafkaListener | 'CONTROLLER')[] = ['PLAINTEXT', 'CONTROLLER'];
  if (users !== undefined) names.push('SASL_PLAINTEXT');
  if (certificate !== undefined) names.push('SSL');
  if (users !== undefined && certificate !== undefined) names.push('SASL_SSL');
  const ports = await freePorts(names.length);
  return new Map(
    names.map((name, i) => [name, name === 'PLAINTEXT' ? (options.port ?? ports[i] ?? 0) : (ports[i] ?? 0)]),
  );
}

function saslProperties(users: LocalKafkaOptions['users']): Properties {
  if (users === undefined) return {};
  const modules = 'org.apache.kafka.common.security';
  const plain = Object.entries(users).map(([name, password]) => ` user_${name}="${password}"`);
  const perListener = ['sasl_plaintext', 'sasl_ssl'].map((listener) => ({
    [`listener.name.${listener}.plain.sasl.jaas.config`]: `${modules}.plain.PlainLoginModule required${plain.join('')};`,
    [`listener.name.${listener}.scram-sha-256.sasl.jaas.config`]: `${modules}.scram.ScramLoginModule required;`,
    [`listener.name.${listener}.scram-sha-512.sasl.jaas.config`]: `${modules}.scram.ScramLoginModule required;`,
  }));
  return Object.assign({ 'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512' }, ...perListener);
}
