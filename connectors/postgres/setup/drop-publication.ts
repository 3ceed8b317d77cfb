import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { ConnectionSettings } from '../connection/connection-settings.ts';
import { sqlName } from '../connection/quoting.ts';
import { SqlSession } from '../connection/sql-session.ts';

export interface DropPublicationOptions {
  readonly settings: ConnectionSettings;
  readonly publication: string;
  readonly signal: AbortSignal;
}

/** False when there was none. Throws E_PRIVILEGE when it is somebody else's. */
export async function dropPublication({
  settings,
  publication,
  signal,
}: DropPublicationOptions): Promise<boolean> {
  await using session = new SqlSession({ settings, purpose: 'drop-publication' });
  const doing = `Dropping the publication ${publication}`;
  const found = await session.query({
    sql: 'SELECT 1 FROM pg_publication WHERE pubname = $1',
    params: [publication],
    doing,
    signal,
  });
  if (found.length === 0) return false;
  const sql = `DROP PUBLICATION IF EXISTS ${sqlName(publication)}`;
  try {
    await session.query({ sql, doing, signal });
    return true;
  } catch (error) {
    if (!(error instanceof TailraceError) || error.code !== 'E_PRIVILEGE') throw error;
    throw new TailraceError({
      code: 'E_PRIVILEGE',
      message: `The publication ${publication} belongs to another role, which has to drop it.`,
      fix: `${sql};`,
      cause: error,
    });
  }
}
