import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Client } from 'pg';
import type { LogicalReplicationService } from 'pg-logical-replication';

/**
 * The part of pg's connection object that CopyBoth needs and its types leave out (pg 8.23). `stream` is the plain socket or the TLS socket
 * around it, so it is read when connected. Chunks of `copyData` are slices of a buffer that is used again.
 */
export interface WalSenderSocket extends EventEmitter {
  readonly stream: Socket;
  sendCopyFromChunk(chunk: Buffer): void;
  /** CopyDone. */
  endCopyFrom(): void;
}

export function connectionOf(client: Client): WalSenderSocket {
  return (client as unknown as { readonly connection: WalSenderSocket }).connection;
}

/** The payload of pg's `copyData` event. */
export interface CopyData {
  readonly chunk: Buffer;
}

/**
 * pg-logical-replication (2.5) listens to its client's errors only once it is connected: an error that the server sends in the same breath as its
 * greeting would end the process. To be called when the client has been made.
 */
export function hearErrors(service: LogicalReplicationService): void {
  const { _client: client } = service as unknown as { readonly _client: Client | null };
  client?.on('error', () => {});
}
