import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TailraceError } from '../errors/tailrace-error.ts';
import { type Health, readiness } from './health.ts';
import type { PrometheusMetrics } from './prometheus-metrics.ts';
import type { PipelineStatus } from './status.ts';

const CLOSE_DEADLINE_MS = 500;

export interface AdminServerOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** Asked for (`Authorization: Bearer`) by whatever shows rows or changes something. */
  readonly token: string;
  readonly status: () => PipelineStatus;
  readonly metrics: PrometheusMetrics;
  /** Live events as NDJSON, until the request ends. */
  readonly tail: (query: URLSearchParams, response: ServerResponse, signal: AbortSignal) => Promise<void>;
}

/**
 * The local HTTP server: /metrics, /livez, /readyz, /status for everybody who can reach it, /tail with the token. Answers GET only,
 * reads no bodies, sends no CORS headers.
 */
export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #server: Server;
  readonly #closing = new AbortController();

  private constructor(options: AdminServerOptions) {
    this.#options = options;
    this.#server = createServer({ maxHeaderSize: 8192, requestTimeout: 10_000 }, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        if (!response.headersSent)
          send(response, 500, { error: error instanceof Error ? error.message : 'error' });
        else response.destroy();
      });
    });
  }

  /** Throws E_USAGE when the address cannot be listened on. */
  static async listen(options: AdminServerOptions): Promise<AdminServer> {
    const admin = new AdminServer(options);
    await new Promise<void>((resolve, reject) => {
      admin.#server.once('error', reject);
      admin.#server.listen(options.port, options.host, () => resolve());
    }).catch((cause: unknown) => {
      throw new TailraceError({
        code: 'E_USAGE',
        message: `The admin server cannot listen on ${options.host}:${options.port}.`,
        fix: 'Give it another port (admin: { port: 0 } takes any free one), or turn it off (admin: false).',
        cause,
      });
    });
    return admin;
  }

  /** `http://127.0.0.1:8642`. */
  get url(): string {
    const address = this.#server.address() as AddressInfo;
    const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `http://${host}:${address.port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    // Live answers end in order; whoever does not take the end is cut off.
    this.#closing.abort();
    this.#server.closeIdleConnections();
    const cut = setTimeout(() => this.#server.closeAllConnections(), CLOSE_DEADLINE_MS);
    await closed;
    clearTimeout(cut);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      send(response, 405, { error: 'method not allowed' });
      return;
    }
    const url = new URL(request.url ?? '/', 'http://localhost');
    switch (url.pathname) {
      case '/livez':
        // Answering at all shows that the loop turns.
        sendHealth(response, { ok: true });
        return;
      case '/readyz':
        sendHealth(response, readiness(this.#options.status()));
        return;
      case '/status':
        send(response, 200, this.#options.status());
        return;
      case '/metrics':
        response.setHeader('content-type', this.#options.metrics.contentType);
        response.end(await this.#options.metrics.text());
        return;
      case '/tail': {
        if (!this.#authorized(request)) {
          response.setHeader('www-authenticate', 'Bearer');
          send(response, 401, { error: 'the token of the lock file is needed' });
          return;
        }
        const closed = new AbortController();
        response.once('close', () => closed.abort());
        response.setHeader('content-type', 'application/x-ndjson');
        const signal = AbortSignal.any([closed.signal, this.#closing.signal]);
        await this.#options.tail(url.searchParams, response, signal);
        return;
      }
      default:
        send(response, 404, { error: 'there is /status, /metrics, /livez, /readyz and /tail' });
    }
  }

  #authorized(request: IncomingMessage): boolean {
    const given = Buffer.from(request.headers.authorization ?? '');
    const wanted = Buffer.from(`Bearer ${this.#options.token}`);
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  }
}

function sendHealth(response: ServerResponse, health: Health): void {
  send(response, health.ok ? 200 : 503, health);
}

function send(response: ServerResponse, status: number, body: object): void {
  response.statusCode = status;
  response.setHeader('content-type', 'application/json');
  response.setHeader('cache-control', 'no-store');
  response.end(`${JSON.stringify(body)}\n`);
}
