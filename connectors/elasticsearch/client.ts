import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  Client,
  errors,
  Serializer,
  Transport,
  type TransportOptions,
  type TransportRequestParams,
} from '@elastic/elasticsearch';
import { TailraceError } from '../../src/errors/tailrace-error.ts';
import type { ElasticsearchConfig } from './config.ts';

/** An answer of the server, whatever its status. The text is JSON as it came. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

export interface Request {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD';
  /** With encoded parts: `/${encodeURIComponent(index)}/_refresh`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** Sent as JSON. */
  readonly json?: object | undefined;
  /** Lines of JSON, sent as they are. */
  readonly lines?: Buffer | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Plain media types instead of the versioned ones, and no look at the product header: so one client serves Elasticsearch 8 and 9 and
 * OpenSearch, which all refuse the media types of another major version.
 */
class PlainTransport extends Transport {
  constructor(options: TransportOptions) {
    const { productCheck: _check, vendoredHeaders: _headers, ...rest } = options;
    super({ ...rest, openTelemetry: { enabled: false } });
  }
}

/** Leaves answers as they came: most are not parsed at all, and versions above 2^53 would lose digits. */
class TextSerializer extends Serializer {
  override deserialize<T = unknown>(json: string): T {
    return json as T;
  }
}

/** Elasticsearch or OpenSearch over HTTP. Retries nothing: what an answer means is for the caller. */
export class ElasticsearchClient {
  readonly #client: Client;

  /** `baseDir`: what a relative path of the CA file is relative to. Throws E_SINK_CONFIG when it cannot be read. */
  constructor(config: ElasticsearchConfig, baseDir: string) {
    const { url, auth, tls, request_timeout, compression } = config;
    this.#client = new Client({
      nodes: [...url],
      Transport: PlainTransport,
      Serializer: TextSerializer,
      maxRetries: 0,
      requestTimeout: request_timeout,
      compression,
      ...(auth?.api_key === undefined ? {} : { auth: { apiKey: auth.api_key } }),
      ...(auth?.username === undefined || auth.password === undefined
        ? {}
        : { auth: { username: auth.username, password: auth.password } }),
      ...(tls === undefined
        ? {}
        : {
            tls: {
              rejectUnauthorized: !tls.insecure,
              ...(tls.ca === undefined ? {} : { ca: certificates(tls.ca, baseDir) }),
            },
          }),
    });
  }

  /** Throws E_SINK_UNAVAILABLE (retriable) when there is no answer in time, and the signal's reason when it aborts. */
  async request(request: Request): Promise<Answer> {
    const { signal } = request;
    signal?.throwIfAborted();
    const params: TransportRequestParams = {
      method: request.method,
      path: request.path,
      ...(request.query === undefined ? {} : { querystring: { ...request.query } }),
      ...(request.json === undefined ? {} : { body: JSON.stringify(request.json) }),
      ...(request.lines === undefined ? {} : { bulkBody: request.lines }),
    };
    const headers = request.json === undefined ? {} : { 'content-type': 'application/json' };
    try {
      const { statusCode, body } = await this.#client.transport.request<string>(params, {
        meta: true,
        headers,
        ...(signal === undefined ? {} : { signal }),
      });
      return { status: statusCode ?? 0, text: textOf(body) };
    } catch (error) {
      if (error instanceof errors.ResponseError) {
        return { status: error.meta.statusCode ?? 0, text: textOf(error.meta.body) };
      }
      signal?.throwIfAborted();
      if (error instanceof errors.ElasticsearchClientError) throw unanswered(error);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}

function textOf(body: unknown): string {
  return typeof body === 'string' ? body : Buffer.isBuffer(body) ? body.toString() : '';
}

/** The client's messages for these name addresses and system errors, nothing of the request. */
function unanswered(error: Error): TailraceError {
  const late = error instanceof errors.TimeoutError;
  return new TailraceError({
    code: 'E_SINK_UNAVAILABLE',
    message: late
      ? 'Elasticsearch did not answer within request_timeout.'
      : `Elasticsearch cannot be reached: ${error.message}.`,
    retriable: true,
    ...(late
      ? {}
      : {
          fix: 'Check `url`, and for https `tls: { ca: <file> }`: the certificate authority of the cluster.',
        }),
  });
}

function certificates(ca: string, baseDir: string): string {
  if (ca.includes('-----BEGIN')) return ca;
  try {
    return readFileSync(resolve(baseDir, ca), 'utf8');
  } catch (cause) {
    throw new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `The file of trusted certificates (tls.ca) cannot be read: ${ca}.`,
      cause,
    });
  }
}
