import type { Client } from 'pg';

const DEADLINE_MS = 1000;

/** Says goodbye and closes. A host that is gone never answers, so after a second the socket is destroyed; end() alone would wait for ever. */
export async function endClient(client: Client): Promise<void> {
  const timer = setTimeout(() => client.connection.stream.destroy(), DEADLINE_MS);
  try {
    await client.end();
  } finally {
    clearTimeout(timer);
  }
}
