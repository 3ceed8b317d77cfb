import { formatLsn, type Lsn } from '../../../src/events/lsn.ts';
import { replicationName, sqlName } from '../connection/quoting.ts';

/** pgoutput can carry logical messages from version 14 on. */
const MESSAGES_SINCE = 140_000;

export interface StartReplication {
  readonly slot: string;
  readonly publication: string;
  readonly from: Lsn;
  readonly serverVersion: number;
}

/**
 * https://www.postgresql.org/docs/current/protocol-logical-replication.html#PROTOCOL-LOGICAL-REPLICATION-PARAMS
 *
 * publication_names is a list of identifiers inside a string literal: both ways of quoting apply. What is left out stays off: binary
 * values, streaming of transactions in progress, two-phase; `origin` stays `any`, so that replicated changes come too.
 */
export function startReplication({ slot, publication, from, serverVersion }: StartReplication): string {
  const options = [`proto_version '1'`, `publication_names ${replicationLiteral(sqlName(publication))}`];
  if (serverVersion >= MESSAGES_SINCE) options.push(`messages 'true'`);
  return `START_REPLICATION SLOT ${replicationName(slot)} LOGICAL ${formatLsn(from)} (${options.join(', ')})`;
}

/** Replication commands have a grammar of their own: doubled quotes, no escape strings. */
function replicationLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
