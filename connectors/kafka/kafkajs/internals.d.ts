/**
 * The part of kafkajs 2.2.4 that is used: one connection to one broker, with its framing, request queue, TLS and SASL. The version is
 * pinned, and a test holds each assumption.
 */
declare module 'kafkajs/src/network/connection.js' {
  import type { Socket } from 'node:net';
  import type { ISocketFactory, SASLOptions } from 'kafkajs';

  export interface InternalLogger {
    namespace(name: string): InternalLogger;
    debug(message: string, extra?: object): void;
    info(message: string, extra?: object): void;
    warn(message: string, extra?: object): void;
    error(message: string, extra?: object): void;
  }

  export interface PushedRequest {
    readonly entry: {
      readonly apiKey: number;
      readonly apiName: string;
      readonly apiVersion: number;
      readonly correlationId: number;
      readonly resolve: (response: { readonly payload: Buffer }) => void;
      readonly reject: (error: unknown) => void;
    };
    readonly expectResponse: boolean;
    readonly requestTimeout: number;
    readonly sendRequest: () => void;
  }

  export interface RequestQueue {
    readonly pending: readonly unknown[];
    push(request: PushedRequest): void;
    scheduleCheckPendingRequests(): void;
  }

  export interface ConnectionOptions {
    readonly host: string;
    readonly port: number;
    readonly clientId: string;
    readonly ssl: object | null;
    readonly sasl: SASLOptions | null;
    readonly socketFactory: ISocketFactory;
    readonly connectionTimeout: number;
    readonly requestTimeout: number;
    readonly enforceRequestTimeout: boolean;
    readonly logger: InternalLogger;
  }

  export default class Connection {
    constructor(options: ConnectionOptions);
    readonly socket: Socket;
    readonly requestQueue: RequestQueue;
    connect(): Promise<boolean>;
    isConnected(): boolean;
    isAuthenticated(): boolean;
    authenticate(): Promise<void>;
    setVersions(versions: Readonly<Record<number, { minVersion: number; maxVersion: number }>>): void;
    setSupportAuthenticationProtocol(supported: boolean): void;
    nextCorrelationId(): number;
  }
}
