import { DatabaseError } from 'pg';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import { formatLsn } from '../../../src/events/lsn.ts';
import type { SlotFacts } from '../../../src/pipeline/source.ts';
import { translateError } from '../connection/translate-error.ts';

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
export const OBJECT_IN_USE = '55006';
const OBJECT_NOT_IN_PREREQUISITE_STATE = '55000';
const UNDEFINED_OBJECT = '42704';
/** A WAL segment that is gone. */
const UNDEFINED_FILE = '58P01';

export interface StreamNames {
  readonly slot: string;
  readonly publication: string;
  readonly database: string;
  /** `db.example.com:5432`. */
  readonly host: string;
}

/** SQLSTATEs whose meaning depends on what has become of the slot. */
export function needsSlotState(error: unknown): boolean {
  return (
    error instanceof DatabaseError &&
    (error.code === OBJECT_NOT_IN_PREREQUISITE_STATE || error.code === UNDEFINED_FILE)
  );
}

export interface StreamFailure {
  readonly error: unknown;
  /** Whether START_REPLICATION had been accepted. */
  readonly streaming: boolean;
  /** The slot as it is now: undefined = gone, 'unknown' = not asked. */
  readonly slot: SlotFacts | undefined | 'unknown';
}

/** What a failed stream means, by SQLSTATE and the slot's state. */
export function explainStreamFailure(failure: StreamFailure, names: StreamNames): TailraceError {
  const { error, streaming, slot } = failure;
  if (error instanceof DatabaseError) {
    // Not the server's: pg makes one for a message of a type that it does not know.
    if (error.code === undefined) return garbled(names, error);
    if (error.code === UNDEFINED_OBJECT) {
      return streaming ? publicationMissing(names, error) : slotMissing(names, error);
    }
    if (needsSlotState(error) && slot !== 'unknown') {
      if (slot === undefined) return slotMissing(names, error);
      const wrong = slotLost(slot, names, error) ?? slotForeign(slot, names, error);
      if (wrong !== undefined) return wrong;
    }
  }
  return translateError(error, `Streaming from slot "${names.slot}" of ${names.host}`);
}

/**
 * From version 18 on the server only warns when it meets changes at whose time the publication did not exist, and skips them. That would be a gap nobody sees.
 */
export function skipsPublication(sqlState: string): boolean {
  return sqlState === OBJECT_NOT_IN_PREREQUISITE_STATE;
}

export function publicationMissing(names: StreamNames, cause?: unknown): TailraceError {
  return new TailraceError({
    code: 'E_PUBLICATION',
    message:
      `Publication "${names.publication}" did not exist when changes were written that slot "${names.slot}" has yet to deliver: ` +
      'it was made after the slot, or was dropped meanwhile. The server cannot decode these changes.',
    fix:
      'The changes of that time cannot be had any more from this slot. Create the publication if it is missing, then drop the slot ' +
      `and let it be made anew, which needs the sinks to be filled anew:\nSELECT pg_drop_replication_slot('${names.slot}');`,
    cause,
  });
}

function garbled(names: StreamNames, cause: unknown): TailraceError {
  return new TailraceError({
    code: 'E_PROTOCOL',
    message: `The connection to ${names.host} carries something that is no message of PostgreSQL.`,
    fix: 'Nothing of it was taken. Look for a proxy or pooler between here and the server that changes or drops bytes.',
    cause,
  });
}

function slotMissing(names: StreamNames, cause: unknown): TailraceError {
  return new TailraceError({
    code: 'E_SLOT_MISSING',
    message: `Replication slot "${names.slot}" does not exist on ${names.host}.`,
    fix: 'It was dropped, or this server was promoted without it. The next start says what that means for the sinks.',
    cause,
  });
}

function slotLost(slot: SlotFacts, names: StreamNames, cause: unknown): TailraceError | undefined {
  if (slot.walStatus !== 'lost' && slot.invalidationReason === undefined) return undefined;
  const reason = slot.invalidationReason ?? 'wal_removed';
  return new TailraceError({
    code: 'E_SLOT_LOST',
    message:
      `The server has invalidated replication slot "${names.slot}" (${reason}); it had confirmed ` +
      `${slot.confirmedFlushLsn === undefined ? 'nothing' : formatLsn(slot.confirmedFlushLsn)}. Changes since then are gone from it.`,
    fix: `${LOST_SETTINGS[reason] ?? 'See pg_replication_slots.invalidation_reason'}; then drop the slot and fill the sinks anew:\nSELECT pg_drop_replication_slot('${names.slot}');`,
    cause,
  });
}

/** https://www.postgresql.org/docs/current/view-pg-replication-slots.html */
const LOST_SETTINGS: Readonly<Record<string, string>> = {
  wal_removed: 'Raise max_slot_wal_keep_size',
  idle_timeout: 'Raise idle_replication_slot_timeout',
  wal_level_insufficient: 'Set wal_level = logical',
  rows_removed: 'Turn on hot_standby_feedback',
};

function slotForeign(slot: SlotFacts, names: StreamNames, cause: unknown): TailraceError | undefined {
  const what =
    slot.plugin === undefined
      ? 'is a physical slot'
      : slot.plugin !== 'pgoutput'
        ? `uses the output plugin ${slot.plugin}`
        : slot.database !== names.database
          ? `belongs to database ${slot.database ?? 'unknown'}`
          : undefined;
  if (what === undefined) return undefined;
  return new TailraceError({
    code: 'E_SLOT_FOREIGN',
    message: `Replication slot "${names.slot}" of ${names.host} ${what}; a pgoutput slot of database ${names.database} is needed.`,
    fix: 'source: { slot: <another name> }',
    cause,
  });
}

export interface SlotHolder {
  readonly pid: number;
  readonly applicationName?: string | undefined;
  /** Undefined: a Unix socket, or not for this role to see. */
  readonly address?: string | undefined;
  readonly since?: string | undefined;
}

export function slotActive(
  holder: SlotHolder | undefined,
  waitedMs: number,
  names: StreamNames,
  cause: unknown,
): TailraceError {
  const by =
    holder === undefined
      ? 'another connection, which has just let it go'
      : [
          `process ${holder.pid} of the server`,
          holder.applicationName ? `application ${JSON.stringify(holder.applicationName)}` : undefined,
          holder.address === undefined ? undefined : `from ${holder.address}`,
          holder.since === undefined ? undefined : `connected since ${holder.since}`,
        ]
          .filter((part) => part !== undefined)
          .join(', ');
  return new TailraceError({
    code: 'E_SLOT_ACTIVE',
    message: `Replication slot "${names.slot}" is in use by ${by}; waited ${Math.round(waitedMs / 1000)} s.`,
    fix:
      `Stop that client, or give this pipeline a slot of its own: source: { slot: <another name> }.` +
      (holder === undefined ? '' : `\nSELECT pg_terminate_backend(${holder.pid});`),
    cause,
  });
}
