import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions as TlsConnectionOptions } from 'node:tls';
import type { SASLOptions } from 'kafkajs';
import Connection, { type InternalLogger } from 'kafkajs/src/network/connection.js';
import { KafkaFailure } from '../cluster/failure.ts';
import { API_VERSIONS, type Api, type ApiVersion } from '../wire/apis.ts';
import { WireReader } from '../wire/wire-reader.ts';
import { WireWriter } from '../wire/wire-writer.ts';
import { toFailure } from './to-failure.ts';

const KEEP_ALIVE_MS = 30_000;
const SASL_AUTHENTICATE = 36;

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

export interface ConnectionSettings {
  readonly clientId: string;
  readonly tls: TlsConnectionOptions | undefined;
  readonly sasl: SASLOptions | undefined;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly logger: InternalLogger;
}

/**
 * One connection to one broker: kafkajs connects, authenticates, frames and matches answers to requests; requests are encoded by us.
 * After a failure the next request connects anew. Rejects with a KafkaFailure.
 */
export class BrokerConnection {
  readonly address: BrokerAddress;
  readonly #settings: ConnectionSettings;
  #link: Link | undefined;
  #closed = false;

  constructor(address: BrokerAddress, settings: ConnectionSettings) {
    this.address = address;
    this.#settings = settings;
  }

  get connected(): boolean {
    return this.#link?.connected === true;
  }

  /** Sends one request and waits for its answer. */
  async request<Request, Response>(
    api: Api<Request, Response>,
    request: Request,
    options: RequestOptions = {},
  ): Promise<Response> {
    if (this.#closed) throw new KafkaFailure({ kind: 'unavailable', reason: 'closed' });
    // Another object for every attempt: kafkajs takes one that is being closed for connected.
    if (this.#link?.broken !== false) this.#link = new Link(this.address, this.#settings);
    const link = this.#link;
    try {
      await link.ready();
      return await link.exchange(api, request, link.version(api), options);
    } catch (thrown) {
      const failure = toFailure(thrown);
      // The answer may still come, or our bytes still be on their way: nothing more is exchanged on this socket.
      if (failure.kind !== 'refused') link.destroy();
      throw failure;
    }
  }

  /** Ends it at once; requests that wait for an answer fail. */
  close(): void {
    this.#closed = true;
    this.#link?.destroy();
  }
}

export interface RequestOptions {
  readonly sizeHintBytes?: number | undefined;
  /** Instead of the usual one, when it is longer: for what the broker may take its time with. */
  readonly timeoutMs?: number | undefined;
}

/** One life of a connection. */
class Link {
  broken = false;
  readonly #address: BrokerAddress;
  readonly #settings: ConnectionSettings;
  readonly #connection: Connection;
  #socket: Socket | undefined;
  #versions: ReadonlyMap<number, ApiVersion> | undefined;
  #connecting: Promise<void> | undefined;

  constructor(address: BrokerAddress, settings: ConnectionSettings) {
    this.#address = address;
    this.#settings = settings;
    const { tls, sasl } = settings;
    this.#connection = new Connection({
      ...address,
      clientId: settings.clientId,
      ssl: tls ?? null,
      // kafkajs keeps the mechanism's state in this object.
      sasl: sasl === undefined ? null : { ...sasl },
      socketFactory: ({ onConnect }) => this.#openSocket(onConnect),
      connectionTimeout: settings.connectTimeoutMs,
      requestTimeout: settings.requestTimeoutMs,
      enforceRequestTimeout: true,
      logger: settings.logger,
    });
    quietQueue(this.#connection);
  }

  get connected(): boolean {
    return this.#versions !== undefined && !this.broken && this.#connection.isConnected();
  }

  /** Connected, versions known, authenticated; also anew before a session's lifetime ends (connections.max.reauth.ms). */
  async ready(): Promise<void> {
    this.#connecting ??= this.#makeReady().finally(() => {
      this.#connecting = undefined;
    });
    await this.#connecting;
  }

  async exchange<Request, Response>(
    api: Api<Request, Response>,
    request: Request,
    version: number,
    { sizeHintBytes = 512, timeoutMs = 0 }: RequestOptions,
  ): Promise<Response> {
    const connection = this.#connection;
    const { clientId, requestTimeoutMs } = this.#settings;
    const correlationId = connection.nextCorrelationId();
    const out = new WireWriter(sizeHintBytes + 64 + clientId.length);
    out.int32(0).int16(api.key).int16(version).int32(correlationId).string(clientId);
    api.encode(out, request, version);
    const bytes = out.view();
    bytes.writeInt32BE(bytes.length - 4, 0);

    const payload = await new Promise<Buffer>((resolve, reject) => {
      connection.requestQueue.push({
        entry: {
          apiKey: api.key,
          apiName: api.name,
          apiVersion: version,
          correlationId,
          resolve: (response) => resolve(response.payload),
          reject,
        },
        expectResponse: true,
        requestTimeout: Math.max(timeoutMs, requestTimeoutMs),
        sendRequest: () => connection.socket.write(bytes),
      });
    });
    return api.decode(new WireReader(payload), version);
  }

  version<Request, Response>(api: Api<Request, Response>): number {
    const offered = this.#versions?.get(api.key);
    const [min, max] = api.versions;
    const version = Math.min(max, offered?.max ?? -1);
    if (offered !== undefined && version >= Math.max(min, offered.min)) return version;
    throw new KafkaFailure({
      kind: 'refused',
      reason: `UNSUPPORTED_VERSION (${api.name} ${min} to ${max})`,
    });
  }

  /** With an error kafkajs rejects at once what waits for an answer; without one it would wait for the time-out. */
  destroy(): void {
    this.broken = true;
    this.#socket?.destroy(new KafkaFailure({ kind: 'unavailable', reason: 'connection closed' }));
  }

  async #makeReady(): Promise<void> {
    const connection = this.#connection;
    if (this.#versions === undefined) {
      await connection.connect();
      this.#versions = await this.#negotiate();
    }
    if (this.#settings.sasl !== undefined && !connection.isAuthenticated()) await connection.authenticate();
    if (!connection.isConnected()) {
      throw new KafkaFailure({ kind: 'unavailable', reason: 'connection closed' });
    }
  }

  async #negotiate(): Promise<ReadonlyMap<number, ApiVersion>> {
    const { errorCode, apis } = await this.exchange(API_VERSIONS, undefined, 0, {});
    if (errorCode !== 0) throw new KafkaFailure({ kind: 'refused', reason: 'UNSUPPORTED_VERSION' });
    this.#connection.setVersions(
      Object.fromEntries(apis.map(({ key, min, max }) => [key, { minVersion: min, maxVersion: max }])),
    );
    // SaslAuthenticate carries SASL inside requests: a refusal then comes as an error instead of a closed connection.
    this.#connection.setSupportAuthenticationProtocol(apis.some(({ key }) => key === SASL_AUTHENTICATE));
    return new Map(apis.map((api) => [api.key, api]));
  }

  #openSocket(onConnect: () => void): Socket {
    const { host, port } = this.#address;
    const { tls } = this.#settings;
    const socket =
      tls === undefined
        ? connectTcp({ host, port }, onConnect)
        : connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...tls }, onConnect);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    // kafkajs hears of an end only by the other side's FIN or an error.
    socket.once('close', () => {
      this.broken = true;
    });
    this.#socket = socket;
    return socket;
  }
}

/**
 * kafkajs looks through its queue on a timer that rearms itself with a negative delay while nothing is throttled: a thousand wake-ups a second,
 * and a TimeoutNegativeWarning (its issue 1751). A look is only needed while something is queued.
 */
function quietQueue({ requestQueue }: Connection): void {
  const schedule = requestQueue.scheduleCheckPendingRequests.bind(requestQueue);
  requestQueue.scheduleCheckPendingRequests = () => {
    if (requestQueue.pending.length > 0) schedule();
  };
}
