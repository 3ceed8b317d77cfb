import type { ConnectionSettings } from './connection-settings.ts';

/**
 * What the text of values depends on. Given in the start-up packet, where it outranks what ALTER ROLE and ALTER DATABASE set: one role default
 * would otherwise change what the replication stream says.
 */
const TEXT_FORMAT: Readonly<Record<string, string>> = {
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  extra_float_digits: '1',
  bytea_output: 'hex',
  lc_monetary: 'C',
  xmlbinary: 'base64',
  quote_all_identifiers: 'off',
  // Names in reg* values are qualified, and nothing in public can stand in for a function of the system.
  search_path: 'pg_catalog',
};

/** A walsender is quiet for as long as nobody writes; wal_sender_timeout watches it. */
const REPLICATION_LIMITS: Readonly<Record<string, string>> = {
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
};

/** Our own statements give way: none may hold a lock queue or an old snapshot for long. */
const SQL_LIMITS: Readonly<Record<string, string>> = {
  statement_timeout: '60s',
  lock_timeout: '5s',
  idle_in_transaction_session_timeout: '60s',
  idle_session_timeout: '0',
  default_transaction_isolation: 'read committed',
  jit: 'off',
};

/** The `options` of the start-up packet. Later settings win, so the user's own come first. */
export function serverOptions(settings: ConnectionSettings, replication: boolean): string {
  const pinned = { ...TEXT_FORMAT, ...(replication ? REPLICATION_LIMITS : SQL_LIMITS) };
  const switches = Object.entries(pinned).map(([name, value]) => `-c ${name}=${escapeOption(value)}`);
  return [...(settings.serverOptions === undefined ? [] : [settings.serverOptions]), ...switches].join(' ');
}

/**
 * To be run on a fresh connection: transaction_timeout (version 17) would end the walsender in the middle of a large transaction, and a
 * start-up packet with a parameter that an older server does not know is refused.
 */
export const PIN_NEWER_PARAMETERS =
  "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'";

/** Bytes of application_name that the server keeps (NAMEDATALEN - 1). */
const MAX_APPLICATION_NAME = 63;

/** `tailrace/stream`: what pg_stat_activity shows for a connection with this purpose. */
export function applicationName(
  settings: Pick<ConnectionSettings, 'applicationName'>,
  purpose: string,
): string {
  const suffix = `/${purpose}`;
  return settings.applicationName.slice(0, MAX_APPLICATION_NAME - suffix.length) + suffix;
}

function escapeOption(value: string): string {
  return value.replace(/[\\\s]/g, '\\$&');
}
