import type { Finding } from '../../../src/delivery/sink.ts';
import { formatLsn } from '../../../src/events/lsn.ts';
import type { SlotFacts, SourceFacts } from '../../../src/pipeline/source.ts';
import { sqlText } from '../connection/quoting.ts';
import type { CheckContext } from './check.ts';

const DOING = 'Checking the replication slot';
const MEBIBYTE = 1024 ** 2;

type Findings = AsyncGenerator<Finding, void, void>;

/** The slot as it is: whether it is ours to read, and how long it will last. */
export async function* slotFindings(context: CheckContext): Findings {
  const { facts, names } = context;
  const { slot } = facts;
  if (slot === undefined) {
    yield {
      level: 'ok',
      about: `The replication slot ${names.slot} does not exist yet; it is created at the first start.`,
    };
    return;
  }
  const unusable = lost(slot) ?? foreign(slot, facts);
  if (unusable !== undefined) {
    yield unusable;
    return;
  }
  const position = slot.confirmedFlushLsn === undefined ? 'nowhere yet' : formatLsn(slot.confirmedFlushLsn);
  yield {
    level: 'ok',
    about: `The replication slot ${slot.name} stands at ${position} and keeps ${mebibytes(slot.retainedBytes ?? 0)} of WAL.`,
  };
  yield* running(slot, facts);
  yield* holder(context, slot);
  yield* options(context, slot);
}

function lost(slot: SlotFacts): Finding | undefined {
  if (slot.walStatus !== 'lost' && slot.invalidationReason === undefined) return undefined;
  const why = slot.invalidationReason === undefined ? '' : ` (${slot.invalidationReason})`;
  return {
    level: 'error',
    about: `The server has invalidated the replication slot ${slot.name}${why}: changes are gone.`,
    fix: `SELECT pg_drop_replication_slot(${sqlText(slot.name)}); -- then rebuild the sinks`,
  };
}

function foreign(slot: SlotFacts, { database }: SourceFacts): Finding | undefined {
  const what =
    slot.plugin === undefined
      ? 'is physical'
      : slot.plugin !== 'pgoutput'
        ? `is for the plugin ${slot.plugin}`
        : slot.database !== database
          ? `is of the database ${slot.database}`
          : undefined;
  if (what === undefined) return undefined;
  return {
    level: 'error',
    about: `The replication slot ${slot.name} ${what}: it belongs to something else.`,
    fix: 'source: { slot: <another name> }',
  };
}

/** safe_wal_size shrinks to 0 as WAL is written that nobody has confirmed. */
function* running(slot: SlotFacts, { maxSlotWalKeepBytes }: SourceFacts): Generator<Finding, void, void> {
  const safe = slot.safeWalSizeBytes;
  if (slot.walStatus === 'unreserved' || (safe !== undefined && safe <= 0)) {
    yield {
      level: 'error',
      about: `The replication slot ${slot.name} is about to be lost: it keeps more WAL than max_slot_wal_keep_size allows, and the next checkpoint may remove it.`,
      fix: 'ALTER SYSTEM SET max_slot_wal_keep_size = <more>; SELECT pg_reload_conf();',
    };
  } else if (safe !== undefined && maxSlotWalKeepBytes !== undefined && safe < maxSlotWalKeepBytes / 4) {
    yield {
      level: 'warning',
      about: `After ${mebibytes(safe)} more of WAL the server may give up the replication slot ${slot.name} (max_slot_wal_keep_size is ${mebibytes(maxSlotWalKeepBytes)}).`,
      fix: 'let the sinks catch up, or ALTER SYSTEM SET max_slot_wal_keep_size = <more>; SELECT pg_reload_conf();',
    };
  }
}

async function* holder({ session, settings, signal }: CheckContext, slot: SlotFacts): Findings {
  if (!slot.active) return;
  const [row] = await session.query<{ application: string | null; address: string | null }>({
    sql: `SELECT application_name AS application, host(client_addr) AS address
            FROM pg_stat_activity WHERE pid = $1`,
    params: [slot.activePid ?? 0],
    doing: DOING,
    signal,
  });
  const ours = row?.application?.startsWith(`${settings.applicationName}/`) === true;
  yield {
    level: ours ? 'ok' : 'warning',
    about:
      `The replication slot ${slot.name} is being read by process ${slot.activePid ?? 'unknown'} ` +
      `(${row?.application || 'no application_name'}, ${row?.address ?? 'address unknown'}): only one reader at a time is possible.`,
  };
}

interface SlotSettingsRow {
  readonly twoPhase: boolean | null;
  readonly failover: boolean | null;
  readonly standbys: number;
  readonly idleTimeoutSeconds: number | null;
}

async function* options({ session, signal }: CheckContext, slot: SlotFacts): Findings {
  const [row] = await session.query<SlotSettingsRow>({
    sql: `SELECT (to_jsonb(s) ->> 'two_phase')::bool AS "twoPhase", (to_jsonb(s) ->> 'failover')::bool AS failover,
                 (SELECT count(*)::int FROM pg_replication_slots p WHERE p.slot_type = 'physical') AS standbys,
                 (SELECT setting::int FROM pg_settings WHERE name = 'idle_replication_slot_timeout') AS "idleTimeoutSeconds"
            FROM pg_replication_slots s
           WHERE s.slot_name = $1`,
    params: [slot.name],
    doing: DOING,
    signal,
  });
  if (row === undefined) return;
  if (row.twoPhase === true) {
    yield {
      level: 'error',
      about: `The replication slot ${slot.name} was created for two-phase commit, which is not read: prepared transactions would come too early.`,
      fix: 'source: { slot: <another name> }',
    };
  }
  if (row.failover === false && row.standbys > 0) {
    yield {
      level: 'warning',
      about: `The replication slot ${slot.name} is not copied to standbys: after a failover it is missing.`,
      fix: `ALTER_REPLICATION_SLOT ${slot.name} (FAILOVER true) -- on a replication connection, while nobody reads the slot`,
    };
  }
  if (row.idleTimeoutSeconds !== null && row.idleTimeoutSeconds > 0) {
    yield {
      level: 'warning',
      about: `idle_replication_slot_timeout is ${row.idleTimeoutSeconds} s: a pipeline that is stopped for longer loses its slot.`,
      fix: 'ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();',
    };
  }
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / MEBIBYTE)} MiB`;
}
