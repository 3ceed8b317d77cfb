import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { BulkBody } from '../bulk/bulk-body.ts';
import type { BulkListener, BulkSender } from '../bulk/bulk-sender.ts';
import type { ElasticsearchClient } from '../client.ts';
import { DELETE, type ElasticsearchRoute } from '../documents/route.ts';
import { type Flavour, scanVersions } from '../documents/scan.ts';

export interface TruncateInput {
  readonly client: ElasticsearchClient;
  readonly flavour: Flavour;
  readonly sender: BulkSender;
  readonly route: ElasticsearchRoute;
  /** Of the TRUNCATE: documents below it go. */
  readonly version: bigint;
  readonly signal: AbortSignal;
}

/**
 * Deletes what was written before a TRUNCATE, document by document with its version: a deletion by query would take the next version
 * of each document, whatever the log says later. Answers the number of documents.
 */
export async function truncateIndex(input: TruncateInput): Promise<number> {
  const { client, flavour, sender, route, version, signal } = input;
  const index = route.destination;
  let deleted = 0;
  const listener: BulkListener = {
    done: () => {
      deleted++;
    },
    // Written anew since.
    conflict: () => {},
    rejected: (_, { type }) => {
      throw new TailraceError({
        code: 'E_SINK_CONFIG',
        message: `A document of ${index} cannot be deleted: ${type}.`,
      });
    },
  };
  for await (const found of scanVersions({ client, flavour, index, signal })) {
    const body = new BulkBody();
    for (const document of found) {
      if (document.version < version) body.begin({ ref: 0, kind: DELETE, route, id: document.id, version });
    }
    if (body.count > 0) await sender.send(body, { listener, indices: [index], signal });
  }
  return deleted;
}
