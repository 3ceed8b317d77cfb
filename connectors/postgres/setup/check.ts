import type { TableRule } from '../../../src/config/pipeline-config.ts';
import { formatTableName, type TableName } from '../../../src/config/table-pattern.ts';
import type { Finding } from '../../../src/delivery/sink.ts';
import { asTailraceError, TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { SourceFacts, SourceTable } from '../../../src/pipeline/source.ts';
import { Catalog } from '../catalog/catalog.ts';
import type { PostgresSourceConfig, ServerNames } from '../config.ts';
import { type ConnectionSettings, sslModeFor } from '../connection/connection-settings.ts';
import { SqlSession } from '../connection/sql-session.ts';
import { publicationFindings, tablePrivilegeFindings } from './check-publication.ts';
import { encodingFindings, limitFindings, transactionFindings, walLevelFindings } from './check-server.ts';
import { slotFindings } from './check-slot.ts';
import { countExistingRows } from './existing-rows.ts';
import { inspectSource } from './inspect.ts';
import { partitionIdentityProblems } from './partition-identity.ts';
import { type IdentityNeed, identityProblem } from './replica-identity.ts';

export interface CheckOptions {
  readonly settings: ConnectionSettings;
  readonly config: Pick<PostgresSourceConfig, 'manage' | 'walBudgetBytes' | 'confirm'>;
  readonly names: ServerNames;
  readonly rules: readonly TableRule[];
  /** What the sinks of a table need of its old rows. */
  readonly need: (table: TableName) => IdentityNeed;
  /** From when on an open transaction is worth a word; default 5 minutes. */
  readonly longTransactionSeconds?: number | undefined;
  /** The same of prepared ones, which are meant to be committed within moments; default 1 minute. */
  readonly longPreparedSeconds?: number | undefined;
  readonly signal: AbortSignal;
}

/** What the checks share. */
export interface CheckContext extends CheckOptions {
  readonly session: SqlSession;
  readonly facts: SourceFacts;
}

/**
 * Looks at everything the source depends on, and changes nothing. What one finding's check cannot do (a privilege, a connection) becomes a finding of its own;
 * only an abort is thrown.
 */
export async function* checkSource(options: CheckOptions): AsyncGenerator<Finding, void, void> {
  const { settings, names, rules, signal } = options;
  const facts = await attempt(signal, () => inspectSource({ settings, slot: names.slot, signal }));
  if (facts instanceof TailraceError) {
    yield failure(facts);
    return;
  }
  yield connected(options, facts);
  yield* unverifiedHosts(settings);
  await using session = new SqlSession({ settings, purpose: 'check' });
  await using catalog = new Catalog({ settings, rules, publication: names.publication });
  const context: CheckContext = { ...options, session, facts };
  for (const check of [
    walLevelFindings,
    limitFindings,
    encodingFindings,
    slotFindings,
    transactionFindings,
  ]) {
    yield* orFailure(signal, () => check(context));
  }
  yield* orFailure(signal, () => tableFindings(context, catalog));
}

async function* tableFindings(context: CheckContext, catalog: Catalog): AsyncGenerator<Finding, void, void> {
  const { signal } = context;
  const selection = await catalog.select(signal);
  for (const { level, about, fix } of selection.problems) yield { level, about: `${about}.`, fix };
  const tables = await catalog.describe(selection.tables, signal);
  if (tables.length > 0) yield { level: 'ok', about: `Tables selected: ${tables.length}.` };
  yield* publicationFindings(context, tables);
  yield* tablePrivilegeFindings(context, tables);
  const definitions = tables.map(({ definition }) => definition);
  const { session, need } = context;
  for (const { about, fix } of [
    ...definitions.flatMap((definition) => identityProblem(definition, need(definition)) ?? []),
    ...(await partitionIdentityProblems(session, definitions, need, signal)),
  ]) {
    yield { level: 'error', about: `${about}.`, fix };
  }
  if (context.facts.slot === undefined) yield* existingRowFindings(context, tables);
}

async function* existingRowFindings(
  { session, signal }: CheckContext,
  tables: readonly SourceTable[],
): AsyncGenerator<Finding, void, void> {
  for (const { schema, table, rows, exact } of await countExistingRows(session, tables, signal)) {
    if (rows === 0) continue;
    const count = rows === undefined ? 'An unknown number of' : `${exact ? '' : 'About '}${rows}`;
    const name = formatTableName({ schema, table });
    yield {
      level: 'warning',
      about: `${count} ${rows === 1 ? 'row' : 'rows'} of ${name} existed before the slot; not delivered.`,
    };
  }
}

function connected({ settings }: CheckOptions, facts: SourceFacts): Finding {
  const { serverVersion, database } = facts;
  const version = `${Math.floor(serverVersion / 10_000)}.${serverVersion % 10_000}`;
  return {
    level: 'ok',
    about: `Connected to PostgreSQL ${version}, database ${database}, as ${settings.user}; the role may replicate.`,
  };
}

function* unverifiedHosts(settings: ConnectionSettings): Generator<Finding, void, void> {
  for (const host of settings.hosts) {
    const mode = sslModeFor(settings, host);
    if (mode === 'require') {
      yield {
        level: 'warning',
        about: `The connection to ${host.host} is encrypted, but whoever answers there is believed (sslmode=require).`,
        fix: 'source: { ssl: { mode: verify-full } }',
      };
    }
  }
}

async function* orFailure(
  signal: AbortSignal,
  check: () => AsyncIterable<Finding>,
): AsyncGenerator<Finding, void, void> {
  try {
    yield* check();
  } catch (error) {
    signal.throwIfAborted();
    yield failure(asTailraceError(error));
  }
}

async function attempt<T>(signal: AbortSignal, action: () => Promise<T>): Promise<T | TailraceError> {
  try {
    return await action();
  } catch (error) {
    signal.throwIfAborted();
    return asTailraceError(error);
  }
}

function failure({ message, fix }: TailraceError): Finding {
  return { level: 'error', about: message, fix };
}
