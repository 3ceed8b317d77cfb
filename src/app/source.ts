import { dirname, resolve } from 'node:path';
import { serverNames } from '../../connectors/postgres/config.ts';
import { resolveConnection } from '../../connectors/postgres/connection/connection-settings.ts';
import { createPostgresSource } from '../../connectors/postgres/postgres-source.ts';
import { dropPublication } from '../../connectors/postgres/setup/drop-publication.ts';
import { grantsSql, grantsWithoutServer, readGrants } from '../../connectors/postgres/setup/grants.ts';
import { dropSlot } from '../../connectors/postgres/setup/slot.ts';
import type { Clock } from '../clock.ts';
import type { PipelineConfig } from '../config/pipeline-config.ts';
import { TailraceError } from '../errors/tailrace-error.ts';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Source } from '../pipeline/source.ts';
import type { AppSourceConfig } from './registry.ts';

type AppConfig = PipelineConfig<AppSourceConfig>;

/** Certificate files are relative to the configuration file, as all its paths are; PEM text and `system` are left alone. */
function sourceOf(config: AppConfig): AppSourceConfig {
  const { ssl } = config.source;
  if (ssl === undefined) return config.source;
  const absolute = (given: string | undefined): string | undefined =>
    given === undefined || given === 'system' || given.includes('-----BEGIN')
      ? given
      : resolve(dirname(resolve(config.file)), given);
  const { ca, cert, key } = ssl;
  return { ...config.source, ssl: { ...ssl, ca: absolute(ca), cert: absolute(cert), key: absolute(key) } };
}

export interface CreateSourceOptions {
  readonly config: AppConfig;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

export function createSource({ config, logger, metrics, clock }: CreateSourceOptions): Source {
  return createPostgresSource(sourceOf(config), {
    pipeline: config.pipeline,
    rules: config.tables,
    env: process.env,
    clock,
    logger,
    metrics,
  });
}

export function slotNameOf(config: AppConfig): string {
  return serverNames(config.source, config.pipeline).slot;
}

/**
 * The SQL that gives a role what the pipeline needs. Looks tables and owners up when the server can be reached; says what it could not.
 */
export async function grantsFor(
  config: AppConfig,
  role: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const settings = resolveConnection(sourceOf(config), process.env);
  const names = serverNames(config.source, config.pipeline);
  const common = { role: role ?? settings.user, rules: config.tables, names, manage: config.source.manage };
  try {
    return grantsSql(await readGrants({ ...common, settings, need: () => 'key', signal }));
  } catch (error) {
    // The role this SQL is for may not exist yet.
    if (!(error instanceof TailraceError) || !['E_CONNECT', 'E_AUTH', 'E_PRIVILEGE'].includes(error.code))
      throw error;
    const note = `-- The server could not be asked (${error.code}): names and owners below are as the configuration has them.\n`;
    return note + grantsSql(grantsWithoutServer({ ...common, database: settings.database }));
  }
}

/** Drops the slot, then the publication; yields what it did, a line each. Throws E_SLOT_ACTIVE, E_PRIVILEGE. */
export async function* dropServerObjects(config: AppConfig, signal: AbortSignal): AsyncGenerator<string> {
  const settings = resolveConnection(sourceOf(config), process.env);
  const { slot, publication } = serverNames(config.source, config.pipeline);
  const hadSlot = await dropSlot({ settings, slot, signal });
  yield hadSlot ? `Dropped replication slot ${slot}.` : `There was no replication slot ${slot}.`;
  const hadPublication = await dropPublication({ settings, publication, signal });
  yield hadPublication ? `Dropped publication ${publication}.` : `There was no publication ${publication}.`;
}
