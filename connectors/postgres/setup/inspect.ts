import type { Client } from 'pg';
import { parseLsn } from '../../../src/events/lsn.ts';
import type { SlotFacts, SourceFacts } from '../../../src/pipeline/source.ts';
import { connect } from '../connection/connect.ts';
import { type ConnectionSettings, describeHost } from '../connection/connection-settings.ts';
import { endClient } from '../connection/end-client.ts';
import { sqlText } from '../connection/quoting.ts';
import { translateError } from '../connection/translate-error.ts';

const MEBIBYTE = 1024 ** 2;

export interface InspectOptions {
  readonly settings: ConnectionSettings;
  readonly slot: string;
  readonly signal: AbortSignal;
}

/** What the server says of itself and the slot, over one replication connection. Changes nothing. Throws what connect() throws. */
export async function inspectSource({ settings, slot, signal }: InspectOptions): Promise<SourceFacts> {
  const client = await connect(settings, { purpose: 'inspect', replication: true, signal });
  try {
    return await readFacts(client, slot);
  } catch (error) {
    throw translateError(error, `Inspecting ${describeHost(client)}`);
  } finally {
    await endClient(client);
  }
}

async function readFacts(client: Client, slot: string): Promise<SourceFacts> {
  const [system] = (await client.query<SystemRow>('IDENTIFY_SYSTEM')).rows;
  const [server] = (await client.query<ServerRow>(SERVER_QUERY)).rows;
  if (system === undefined || server === undefined) throw new TypeError('the server said nothing of itself');
  const walEnd = parseLsn(system.xlogpos);
  const timeline = Number(system.timeline);
  const row = await readSlot(client, slot);
  return {
    systemIdentifier: system.systemid,
    databaseOid: server.databaseOid,
    database: server.database,
    timeline,
    history: await readHistory(client, timeline),
    walEnd,
    serverVersion: server.version,
    walSenderTimeoutMs: server.walSenderTimeoutMs,
    maxSlotWalKeepBytes: server.maxSlotWalKeepMb < 0 ? undefined : server.maxSlotWalKeepMb * MEBIBYTE,
    slot: row === undefined ? undefined : slotFacts(row, walEnd),
  };
}

/** https://www.postgresql.org/docs/current/protocol-replication.html#PROTOCOL-REPLICATION-IDENTIFY-SYSTEM */
interface SystemRow {
  readonly systemid: string;
  /** An int8 since version 16, which pg gives as text. */
  readonly timeline: number | string;
  /** On a primary what is flushed, on a standby what is received or replayed. */
  readonly xlogpos: string;
}

interface ServerRow {
  readonly databaseOid: number;
  readonly database: string;
  readonly version: number;
  readonly walSenderTimeoutMs: number;
  readonly maxSlotWalKeepMb: number;
}

const SERVER_QUERY = `
  SELECT d.oid AS "databaseOid", d.datname AS database, current_setting('server_version_num')::int AS version,
         (SELECT setting::int FROM pg_settings WHERE name = 'wal_sender_timeout') AS "walSenderTimeoutMs",
         (SELECT setting::int FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS "maxSlotWalKeepMb"
    FROM pg_database d
   WHERE d.datname = current_database()`;

/** A row of pg_replication_slots of any version: what a version does not have is undefined. */
export interface SlotRow {
  readonly slot_name: string;
  readonly plugin: string | null;
  readonly slot_type: 'logical' | 'physical';
  readonly database: string | null;
  readonly temporary: boolean;
  readonly active: boolean;
  readonly active_pid: number | null;
  readonly restart_lsn: string | null;
  readonly confirmed_flush_lsn: string | null;
  readonly wal_status: string | null;
  readonly safe_wal_size: number | null;
  readonly two_phase?: boolean | undefined;
  /** Version 16 and later. */
  readonly conflicting?: boolean | null | undefined;
  /** Version 17 and later. */
  readonly invalidation_reason?: string | null | undefined;
  readonly failover?: boolean | undefined;
  readonly synced?: boolean | undefined;
}

/** Columns came with the versions 14 to 18: as JSON all of them are read by one query. */
export async function readSlot(client: Pick<Client, 'query'>, slot: string): Promise<SlotRow | undefined> {
  const { rows } = await client.query<{ slot: SlotRow }>(
    `SELECT to_jsonb(s) AS slot FROM pg_replication_slots s WHERE s.slot_name = ${sqlText(slot)}`,
  );
  return rows[0]?.slot;
}

function slotFacts(row: SlotRow, walEnd: bigint): SlotFacts {
  const restartLsn = row.restart_lsn === null ? undefined : parseLsn(row.restart_lsn);
  return {
    name: row.slot_name,
    plugin: row.plugin ?? undefined,
    database: row.database ?? undefined,
    confirmedFlushLsn: row.confirmed_flush_lsn === null ? undefined : parseLsn(row.confirmed_flush_lsn),
    restartLsn,
    active: row.active,
    activePid: row.active_pid ?? undefined,
    walStatus: row.wal_status ?? undefined,
    invalidationReason:
      row.invalidation_reason ?? (row.conflicting === true ? 'conflict with recovery' : undefined),
    safeWalSizeBytes: row.safe_wal_size ?? undefined,
    retainedBytes: restartLsn === undefined ? undefined : Number(walEnd - restartLsn),
  };
}

async function readHistory(client: Client, timeline: number): Promise<SourceFacts['history']> {
  // The first timeline has no history file.
  if (timeline === 1) return [];
  // The content is the file as it is, whatever type the server claims for it.
  const asText = { getTypeParser: () => (value: string) => value };
  const { rows } = await client.query<{ content: string }>({
    text: `TIMELINE_HISTORY ${timeline}`,
    types: asText,
  });
  return parseTimelineHistory(rows[0]?.content ?? '');
}

/** Lines of `timeline, switch LSN, reason`, oldest first; `#` begins a comment. readTimeLineHistory() in access/transam/timeline.c */
export function parseTimelineHistory(content: string): SourceFacts['history'] {
  return content
    .split('\n')
    .filter((line) => /^\s*\d/.test(line))
    .map((line) => {
      const [timeline = '', switchLsn = ''] = line.trim().split(/\s+/);
      return { timeline: Number(timeline), switchLsn: parseLsn(switchLsn) };
    });
}
