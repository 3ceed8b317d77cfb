import type { Finding } from '../../../src/delivery/sink.ts';
import { sqlText } from '../connection/quoting.ts';
import type { CheckContext } from './check.ts';

const DOING = 'Checking the server';
const LONG_TRANSACTION_SECONDS = 300;
const LONG_PREPARED_SECONDS = 60;

type Findings = AsyncGenerator<Finding, void, void>;

export async function* walLevelFindings({ session, signal }: CheckContext): Findings {
  const [row] = await session.query<{ level: string; standby: boolean }>({
    sql: "SELECT current_setting('wal_level') AS level, pg_is_in_recovery() AS standby",
    doing: DOING,
    signal,
  });
  if (row?.level === 'logical') yield { level: 'ok', about: 'wal_level is logical.' };
  else {
    yield {
      level: 'error',
      about: `wal_level is ${row?.level}: the WAL does not hold what logical decoding needs.`,
      fix: `ALTER SYSTEM SET wal_level = logical; -- then restart the server`,
    };
  }
  if (row?.standby === true) {
    yield {
      level: 'warning',
      about:
        'The server is a standby: its slots are lost when it is promoted or conflicts with the primary, and cannot be made without wal_level = logical there.',
      fix: 'source: { target_session_attrs: primary }',
    };
  }
}

interface LimitRow {
  readonly slots: number;
  readonly maxSlots: number;
  readonly senders: number;
  readonly maxSenders: number;
  readonly walSenderTimeoutMs: number;
}

export async function* limitFindings({ session, facts, config, signal }: CheckContext): Findings {
  const [row] = await session.query<LimitRow>({
    sql: `SELECT (SELECT count(*)::int FROM pg_replication_slots) AS slots,
                 current_setting('max_replication_slots')::int AS "maxSlots",
                 (SELECT count(*)::int FROM pg_stat_get_wal_senders()) AS senders,
                 current_setting('max_wal_senders')::int AS "maxSenders"`,
    doing: DOING,
    signal,
  });
  if (row === undefined) return;
  yield facts.slot === undefined && row.slots >= row.maxSlots
    ? {
        level: 'error',
        about: `All ${row.maxSlots} replication slots are in use.`,
        fix: `ALTER SYSTEM SET max_replication_slots = ${row.maxSlots + 5}; -- then restart the server`,
      }
    : { level: 'ok', about: `${row.slots} of ${row.maxSlots} replication slots are in use.` };
  // One for streaming, one more to look while it streams.
  yield row.maxSenders - row.senders < 2
    ? {
        level: 'warning',
        about: `${row.senders} of ${row.maxSenders} WAL senders are in use: a pipeline takes one, and one more for a moment now and then.`,
        fix: `ALTER SYSTEM SET max_wal_senders = ${row.maxSenders + 5}; -- then restart the server`,
      }
    : { level: 'ok', about: `${row.senders} of ${row.maxSenders} WAL senders are in use.` };
  const keep = facts.maxSlotWalKeepBytes;
  if (config.confirm === 'auto' && keep !== undefined && config.walBudgetBytes > keep / 2) {
    yield {
      level: 'warning',
      about: `wal_budget is more than half of max_slot_wal_keep_size (${keep} bytes): only half of that is used.`,
      fix: `ALTER SYSTEM SET max_slot_wal_keep_size = '${Math.ceil((config.walBudgetBytes * 2) / 1024 ** 2)}MB'; SELECT pg_reload_conf();`,
    };
  }
}

export async function* encodingFindings({ session, signal }: CheckContext): Findings {
  const [row] = await session.query<{ encoding: string }>({
    sql: 'SELECT pg_encoding_to_char(encoding) AS encoding FROM pg_database WHERE datname = current_database()',
    doing: DOING,
    signal,
  });
  if (row?.encoding !== 'SQL_ASCII') return;
  yield {
    level: 'warning',
    about:
      'The database is SQL_ASCII: the server does not know what its text means. Bytes that are not UTF-8 will be refused where they are met.',
  };
}

interface TransactionRow {
  readonly pid: number;
  readonly user: string | null;
  readonly application: string;
  readonly seconds: number;
}

/** Both keep the slot's WAL and delay the creation of slots, in whatever database they are. */
export async function* transactionFindings(context: CheckContext): Findings {
  const { session, signal } = context;
  const prepared = await session.query<{ gid: string; seconds: number; database: string; owner: string }>({
    sql: `SELECT gid, database, owner, extract(epoch FROM clock_timestamp() - prepared)::int AS seconds
            FROM pg_prepared_xacts
           WHERE clock_timestamp() - prepared > make_interval(secs => $1)
           ORDER BY prepared`,
    params: [context.longPreparedSeconds ?? LONG_PREPARED_SECONDS],
    doing: DOING,
    signal,
  });
  for (const { gid, database, owner, seconds } of prepared) {
    yield {
      level: 'warning',
      about: `The prepared transaction ${sqlText(gid)} of ${owner} in database ${database} has been open for ${age(seconds)}: the server keeps the WAL since then.`,
      fix: `COMMIT PREPARED ${sqlText(gid)}; -- or ROLLBACK PREPARED, in database ${database}`,
    };
  }
  const open = await session.query<TransactionRow>({
    sql: `SELECT pid, usename AS user, coalesce(application_name, '') AS application,
                 extract(epoch FROM clock_timestamp() - xact_start)::int AS seconds
            FROM pg_stat_activity
           WHERE backend_xid IS NOT NULL AND clock_timestamp() - xact_start > make_interval(secs => $1)
           ORDER BY xact_start`,
    params: [context.longTransactionSeconds ?? LONG_TRANSACTION_SECONDS],
    doing: DOING,
    signal,
  });
  for (const { pid, user, application, seconds } of open) {
    yield {
      level: 'warning',
      about: `Process ${pid} (${user ?? 'unknown role'}, ${application || 'no application_name'}) has had a transaction open for ${age(seconds)}: the server keeps the WAL since then, and a new slot waits for it.`,
      fix: `SELECT pg_terminate_backend(${pid});`,
    };
  }
  const [role] = await session.query<{ sees: boolean }>({
    sql: "SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS sees",
    doing: DOING,
    signal,
  });
  if (role?.sees !== true) {
    yield {
      level: 'ok',
      about:
        'How long the transactions of other roles have been open is hidden from this role (pg_read_all_stats would show it).',
    };
  }
}

function age(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}
