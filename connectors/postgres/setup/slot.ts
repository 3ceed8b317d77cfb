import { type Client, DatabaseError } from 'pg';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { type Lsn, parseLsn } from '../../../src/events/lsn.ts';
import { connect } from '../connection/connect.ts';
import { type ConnectionSettings, describeHost } from '../connection/connection-settings.ts';
import { endClient } from '../connection/end-client.ts';
import { replicationName, sqlName, sqlText } from '../connection/quoting.ts';
import { translateError } from '../connection/translate-error.ts';

/** Options in parentheses came with version 15, failover slots with 17. */
const OPTION_LIST_SINCE = 150_000;
const FAILOVER_SINCE = 170_000;

const OBJECT_IN_USE = '55006';
const OBJECT_NOT_IN_PREREQUISITE_STATE = '55000';
const CONFIGURATION_LIMIT_EXCEEDED = '53400';
const DUPLICATE_OBJECT = '42710';
const UNDEFINED_OBJECT = '42704';

export interface CreateSlotOptions {
  readonly settings: ConnectionSettings;
  readonly slot: string;
  /** Creating waits for every transaction that was open before: give up after this long. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Creates the logical slot and returns its consistent point: every transaction that commits after it will be sent. Where the server can, standbys keep a copy
 * (failover). Throws E_WAL_LEVEL, E_PRIVILEGE, and E_STREAM naming the processes it waited for in vain; then, or aborted, it leaves no slot behind.
 */
export async function createSlot({ settings, slot, timeoutMs, signal }: CreateSlotOptions): Promise<Lsn> {
  const walsender = await connect(settings, { purpose: 'create-slot', replication: true, signal });
  const deadline = AbortSignal.timeout(timeoutMs);
  const stop = AbortSignal.any([signal, deadline]);
  const doing = `Creating the replication slot ${slot} at ${describeHost(walsender)}`;
  try {
    const command = await createCommand(walsender, slot);
    const creating = walsender.query<{ consistent_point: string }>(command);
    const result = await untilAborted(creating, stop);
    if (result !== undefined) return parseLsn(result.rows[0]?.consistent_point ?? '');
    const blockers = await endCreation(settings, walsender, creating);
    throw tooSlow(doing, timeoutMs, blockers);
  } catch (error) {
    signal.throwIfAborted();
    throw explainCreation(error, doing);
  } finally {
    await endClient(walsender);
  }
}

/** False when there was none. Throws E_SLOT_ACTIVE naming who holds it. */
export async function dropSlot({
  settings,
  slot,
  signal,
}: Omit<CreateSlotOptions, 'timeoutMs'>): Promise<boolean> {
  const client = await connect(settings, { purpose: 'drop-slot', signal });
  try {
    await client.query('SELECT pg_drop_replication_slot($1)', [slot]);
    return true;
  } catch (error) {
    if (error instanceof DatabaseError && error.code === UNDEFINED_OBJECT) return false;
    if (error instanceof DatabaseError && error.code === OBJECT_IN_USE) {
      throw await slotInUse(client, slot, error);
    }
    throw translateError(error, `Dropping the replication slot ${slot} at ${describeHost(client)}`);
  } finally {
    await endClient(client);
  }
}

async function createCommand(client: Client, slot: string): Promise<string> {
  const { rows } = await client.query<{ version: number; standby: boolean }>(
    "SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS standby",
  );
  const { version = 0, standby = false } = rows[0] ?? {};
  const create = `CREATE_REPLICATION_SLOT ${replicationName(slot)} LOGICAL pgoutput`;
  if (version < OPTION_LIST_SINCE) return `${create} NOEXPORT_SNAPSHOT`;
  // A standby refuses to make failover slots; its own are for it alone.
  const failover = version >= FAILOVER_SINCE && !standby ? ', FAILOVER' : '';
  return `${create} (SNAPSHOT 'nothing'${failover})`;
}

/** Undefined when the signal was first. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const onAbort = (): void => resolve(undefined);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/**
 * A walsender that waits does not look at its socket: merely hanging up would leave it waiting, and the slot made for nobody. Ends it from
 * another session, and returns what it was waiting for.
 */
async function endCreation(
  settings: ConnectionSettings,
  walsender: Client,
  creating: Promise<unknown>,
): Promise<string[]> {
  const signal = AbortSignal.timeout(settings.connectTimeoutMs || 10_000);
  const client = await connect(settings, { purpose: 'cancel-slot', signal });
  try {
    const pid = (walsender as unknown as { readonly processID: number }).processID;
    const blockers = await readBlockers(client, pid);
    await client.query('SELECT pg_terminate_backend($1)', [pid]);
    await creating.catch(() => {});
    return blockers;
  } finally {
    await endClient(client);
  }
}

interface BlockerRow {
  readonly what: string;
  readonly age: string | null;
}

/**
 * Whom the walsender waits for now, and for whom next. Without pg_read_all_stats the age of others' transactions is hidden, and who is next.
 */
async function readBlockers(client: Client, pid: number): Promise<string[]> {
  const { rows } = await client.query<BlockerRow>(
    `SELECT format('process %s of %s (%s)', a.pid, a.usename, coalesce(nullif(a.application_name, ''), 'no application_name')) AS what,
            date_trunc('second', clock_timestamp() - a.xact_start)::text AS age
       FROM pg_stat_activity a
       JOIN pg_stat_activity w ON w.pid = $1 AND a.pid <> w.pid
      WHERE a.pid = ANY (pg_blocking_pids($1)) OR a.backend_xid IS NOT NULL AND a.xact_start <= w.query_start
      UNION ALL
     SELECT format('prepared transaction %L of %s', p.gid, p.owner), date_trunc('second', clock_timestamp() - p.prepared)::text
       FROM pg_prepared_xacts p
       JOIN pg_stat_activity w ON w.pid = $1
      WHERE p.prepared <= w.query_start
      ORDER BY 1`,
    [pid],
  );
  return rows.map(({ what, age }) => (age === null ? what : `${what}, open for ${age}`));
}

function tooSlow(doing: string, timeoutMs: number, blockers: readonly string[]): TailraceError {
  const waitedFor = blockers.length === 0 ? 'a transaction that is over now' : blockers.join('; ');
  return new TailraceError({
    code: 'E_STREAM',
    message: `${doing} took longer than ${timeoutMs} ms: it waits for every transaction that began before it. Still open: ${waitedFor}.`,
    fix:
      'End these transactions (SELECT pg_terminate_backend(<pid>); ROLLBACK PREPARED <gid>;), or wait longer: ' +
      'source: { slot_create_timeout: 30m }',
    retriable: true,
  });
}

function explainCreation(error: unknown, doing: string): TailraceError {
  if (!(error instanceof DatabaseError)) return translateError(error, doing);
  switch (error.code) {
    case OBJECT_NOT_IN_PREREQUISITE_STATE:
      return new TailraceError({
        code: 'E_WAL_LEVEL',
        message: `${doing}: the server does not write enough WAL for logical decoding.`,
        fix: 'ALTER SYSTEM SET wal_level = logical; then restart the server (on a standby: its primary too)',
        cause: error,
      });
    case CONFIGURATION_LIMIT_EXCEEDED:
      return new TailraceError({
        code: 'E_STREAM',
        message: `${doing}: all replication slots of the server are in use.`,
        fix: 'ALTER SYSTEM SET max_replication_slots = <more>; then restart the server. Or drop slots that nobody reads: SELECT slot_name, active FROM pg_replication_slots;',
        retriable: true,
        cause: error,
      });
    case DUPLICATE_OBJECT:
      return new TailraceError({
        code: 'E_SLOT_ACTIVE',
        message: `${doing}: somebody else has just created it.`,
        fix: `another pipeline may use the same slot: source: { slot: <name> }`,
        retriable: true,
        cause: error,
      });
    default:
      return translateError(error, doing);
  }
}

async function slotInUse(client: Client, slot: string, cause: DatabaseError): Promise<TailraceError> {
  const { rows } = await client.query<{ holder: string }>(
    `SELECT format('process %s, %s', s.active_pid, coalesce(host(r.client_addr), 'address unknown')) AS holder
       FROM pg_replication_slots s
       LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
      WHERE s.slot_name = ${sqlText(slot)} AND s.active`,
  );
  return new TailraceError({
    code: 'E_SLOT_ACTIVE',
    message: `The replication slot ${sqlName(slot)} is in use: ${rows[0]?.holder ?? 'its reader has just gone'}.`,
    fix: 'stop the pipeline that reads it first',
    retriable: true,
    cause,
  });
}
