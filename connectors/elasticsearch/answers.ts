import { TailraceError } from '../../src/errors/tailrace-error.ts';
import type { Answer } from './client.ts';

/** `error` of an answer or of a bulk item. `reason` may hold values of a row: never shown for a write. */
export interface ServerError {
  readonly type: string;
  readonly reason: string;
}

/** The body of an answer as JSON. Throws E_SINK_UNAVAILABLE (retriable) for a body cut off or of something in between. */
export function jsonOf<T>(answer: Answer): T {
  try {
    return JSON.parse(answer.text) as T;
  } catch {
    throw new TailraceError({
      code: 'E_SINK_UNAVAILABLE',
      message: `What answers at the address of Elasticsearch (status ${answer.status}) does not speak JSON.`,
      fix: 'Check `url`: it must lead to Elasticsearch or OpenSearch itself, not to a user interface or an error page of a proxy.',
      retriable: true,
    });
  }
}

/** What an answer of status 400 or above says is wrong. */
export function serverError(answer: Answer): ServerError {
  let error: unknown;
  try {
    error = (JSON.parse(answer.text) as { error?: unknown } | null)?.error;
  } catch {
    // Error pages of proxies are HTML.
  }
  if (typeof error === 'string') return { type: error, reason: '' };
  const { type, reason } = (error ?? {}) as Partial<Record<keyof ServerError, unknown>>;
  return {
    type: typeof type === 'string' ? type : `status ${answer.status}`,
    reason: typeof reason === 'string' ? reason : '',
  };
}

export interface RefusedRequest {
  readonly status: number;
  readonly error: ServerError;
  /** Continues "Elasticsearch refuses to ...". */
  readonly doing: string;
  /** Indices the request concerns. */
  readonly indices: readonly string[];
  /** The answer's reason may be shown: the request held nothing of a row. */
  readonly harmless?: boolean | undefined;
}

/** Statuses that the same request may not meet again later. */
export function isTransient(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/** What a refused request (or a bulk item refused for other reasons than its document) means for the sink. */
export function refusal(refused: RefusedRequest): TailraceError {
  const { status, error, doing, indices } = refused;
  const what = `Elasticsearch refuses to ${doing}: ${error.type}${refused.harmless === true && error.reason !== '' ? ` (${error.reason})` : ''}`;
  if (error.type === 'cluster_block_exception') {
    return new TailraceError({
      code: 'E_SINK_UNAVAILABLE',
      message: `${what}. The index is blocked for writing.`,
      fix:
        'When a disk is nearly full (flood-stage watermark), give it room: the block then goes by itself. Otherwise remove it:\n' +
        `PUT /${indices.join(',')}/_settings {"index.blocks.read_only_allow_delete": null, "index.blocks.write": null}`,
      retriable: true,
    });
  }
  if (isTransient(status)) {
    return new TailraceError({
      code: 'E_SINK_UNAVAILABLE',
      message: `${what} (status ${status}).`,
      retriable: true,
    });
  }
  if (status === 401) {
    return new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `${what}. It does not know who is asking.`,
      fix: 'Give the sink valid credentials: auth: { api_key: "${ES_API_KEY}" } or auth: { username: ..., password: ... }.',
    });
  }
  if (status === 403) {
    return new TailraceError({ code: 'E_SINK_CONFIG', message: `${what}.`, fix: privilegesFor(indices) });
  }
  if (error.type === 'index_closed_exception') {
    return new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `${what}.`,
      fix: indices.map((index) => `POST /${index}/_open`).join('\n'),
    });
  }
  if (error.type === 'index_not_found_exception') {
    return new TailraceError({
      code: 'E_SINK_CONFIG',
      message: `${what}. The index was there when the sink started, and is gone.`,
      fix: 'Restore the index from a snapshot; or let it be filled anew: see "Starting over" in the documentation of the sink.',
    });
  }
  return new TailraceError({ code: 'E_SINK_CONFIG', message: `${what} (status ${status}).` });
}

/** The least a role must have. */
export function privilegesFor(indices: readonly string[]): string {
  const names = indices.length === 0 ? ['<the indices of this sink>'] : indices;
  return (
    'Grant the role of this user or API key:\n' +
    JSON.stringify({ indices: [{ names, privileges: ['read', 'write', 'manage'] }] })
  );
}
