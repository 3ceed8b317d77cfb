import type { Rejection } from '../../src/delivery/sink.ts';
import type { ErrorCode } from '../../src/errors/codes.ts';
import { asTailraceError, TailraceError } from '../../src/errors/tailrace-error.ts';
import type { StoredCheckpoint } from '../../src/events/position.ts';
import type { MirrorDatabaseOptions } from './mirror-database.ts';
import type { MirrorTable } from './mirror-table.ts';
import type { SchemaNote } from './mirror-writer.ts';

/** What the sink asks of its worker; each request is answered once, in order. */
export type Request =
  | { readonly kind: 'open'; readonly options: MirrorDatabaseOptions }
  | { readonly kind: 'define'; readonly mirror: number; readonly table: MirrorTable }
  | {
      readonly kind: 'write';
      /** Handed over; comes back with the answer. */
      readonly buffer: ArrayBuffer;
      readonly byteLength: number;
      readonly to: StoredCheckpoint;
    }
  | { readonly kind: 'close' };

export type Answer =
  | { readonly kind: 'opened'; readonly checkpoint: StoredCheckpoint | undefined }
  | { readonly kind: 'done' }
  | {
      readonly kind: 'written';
      readonly buffer: ArrayBuffer;
      readonly rejected: readonly Rejection[];
      readonly notes: readonly SchemaNote[];
    }
  | { readonly kind: 'failed'; readonly error: PortableError; readonly buffer?: ArrayBuffer | undefined };

/** A TailraceError as plain data: errors lose their class and fields between threads. */
export interface PortableError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly fix: string | undefined;
  readonly retriable: boolean;
  readonly causes: readonly string[];
  readonly stack: string | undefined;
}

export function packError(thrown: unknown): PortableError {
  const { code, message, fix, retriable, stack, cause: first } = asTailraceError(thrown);
  const causes: string[] = [];
  for (let cause = first; cause instanceof Error && causes.length < 4; cause = cause.cause) {
    causes.push(cause.message);
  }
  return { code, message, fix, retriable, causes, stack };
}

export function unpackError(error: PortableError): TailraceError {
  let cause: Error | undefined;
  for (const message of error.causes.toReversed()) {
    cause = new Error(message, cause === undefined ? undefined : { cause });
  }
  const unpacked = new TailraceError({ ...error, cause });
  if (error.stack !== undefined) unpacked.stack = error.stack;
  return unpacked;
}
