import { formatTableName } from '../../../src/config/table-pattern.ts';
import type { Finding } from '../../../src/delivery/sink.ts';
import type { SourceTable } from '../../../src/pipeline/source.ts';
import { sqlName, sqlTable } from '../connection/quoting.ts';
import type { CheckContext } from './check.ts';
import { type PublicationFacts, readPartitioned, readPublication } from './publication-facts.ts';
import { type PublicationPlan, planPublication } from './publication-plan.ts';

const DOING = 'Checking privileges';

type Findings = AsyncGenerator<Finding, void, void>;

/** Whether the publication is as it has to be, or will be at the next start. */
export async function* publicationFindings(context: CheckContext, tables: readonly SourceTable[]): Findings {
  const { session, names, config, signal, facts: server } = context;
  const { publication } = names;
  const definitions = tables.map(({ definition }) => definition);
  const facts = await readPublication(session, publication, signal);
  const partitioned = await readPartitioned(session, definitions, signal);
  const { manage } = config;
  const plan = planPublication({ facts, publication, tables: definitions, partitioned, manage });
  const name = sqlName(publication);
  const fix = plan.statements.map((statement) => `${statement};`).join('\n');
  if (plan.statements.length === 0) {
    yield { level: 'ok', about: `The publication ${name} publishes what is selected.` };
  } else if (!manage) {
    yield { level: 'error', about: `The publication ${name} ${plan.reasons.join(', ')}.`, fix };
  } else {
    yield* changePrivilegeFindings(context, facts, plan);
    yield {
      level: 'ok',
      about: `The publication ${name} ${plan.reasons.join(', ')}; that is mended at the next start.`,
      fix,
    };
  }
  if (facts === undefined && server.slot !== undefined) {
    yield {
      level: 'error',
      about: `The slot ${names.slot} exists and the publication ${name} does not: what was written in between cannot be decoded.`,
      fix: `if the publication was never there: SELECT pg_drop_replication_slot('${names.slot}'); and start anew`,
    };
  }
  yield* contentFindings(facts, plan, context, tables);
}

function* contentFindings(
  facts: PublicationFacts | undefined,
  plan: PublicationPlan,
  { names }: CheckContext,
  tables: readonly SourceTable[],
): Generator<Finding, void, void> {
  if (facts === undefined) return;
  const name = sqlName(names.publication);
  for (const published of facts.tables) {
    const selected = tables.find(({ definition }) => definition.oid === published.oid);
    if (selected === undefined) continue;
    const table = formatTableName(published);
    if (published.rowFilter) {
      yield {
        level: 'warning',
        about: `The publication ${name} filters the rows of ${table}: the others are never seen.`,
        fix: `ALTER PUBLICATION ${name} DROP TABLE ${sqlTable(published)}; ALTER PUBLICATION ${name} ADD TABLE ${sqlTable(published)};`,
      };
    }
    if (published.columns !== null) {
      yield {
        level: 'warning',
        about: `The publication ${name} publishes only these columns of ${table}: ${published.columns.join(', ')}.`,
      };
    }
  }
  if (plan.unused.length > 0) {
    yield {
      level: 'warning',
      about: `The publication ${name} has ${plan.unused.length} tables that are not selected, such as ${plan.unused.slice(0, 3).map(formatTableName).join(', ')}: the server sends their changes for nothing.`,
    };
  }
}

/** Making the publication takes CREATE on the database; putting a table into it takes the owners' rights of both. */
async function* changePrivilegeFindings(
  { session, settings, signal }: CheckContext,
  facts: PublicationFacts | undefined,
  plan: PublicationPlan,
): Findings {
  const [row] = await session.query<{ create: boolean; database: string; strangers: string[] }>({
    sql: `SELECT has_database_privilege(current_database(), 'CREATE') AS create, current_database() AS database,
                 ARRAY(SELECT DISTINCT r.rolname::text FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
                        WHERE c.oid = ANY ($1::oid[]) AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1) AS strangers`,
    params: [plan.added.map(({ oid }) => oid)],
    doing: DOING,
    signal,
  });
  if (row === undefined) return;
  const role = sqlName(settings.user);
  const fixes: string[] = [];
  if (!row.create) fixes.push(`GRANT CREATE ON DATABASE ${sqlName(row.database)} TO ${role};`);
  const owners = facts?.owned === false ? [facts.owner, ...row.strangers] : row.strangers;
  fixes.push(...[...new Set(owners)].map((owner) => `GRANT ${sqlName(owner)} TO ${role};`));
  if (fixes.length === 0) return;
  yield {
    level: 'error',
    about: `The role ${settings.user} may not change the publication as it has to be.`,
    fix: `${fixes.join('\n')}\nor make it yourself (the next finding has the SQL) and set source: { manage: false }`,
  };
}

interface TablePrivilegeRow {
  readonly schema: string;
  readonly table: string;
  readonly usage: boolean;
  readonly select: boolean;
}

/** Streaming needs no privilege on tables; reading the rows that are there does. */
export async function* tablePrivilegeFindings(
  { session, settings, signal }: CheckContext,
  tables: readonly SourceTable[],
): Findings {
  const rows = await session.query<TablePrivilegeRow>({
    sql: `SELECT n.nspname AS schema, c.relname AS "table", has_schema_privilege(n.oid, 'USAGE') AS usage,
                 has_table_privilege(c.oid, 'SELECT') AS select
            FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.oid = ANY ($1::oid[]) AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))
           ORDER BY 1, 2`,
    params: [tables.map(({ definition }) => definition.oid)],
    doing: DOING,
    signal,
  });
  if (rows.length === 0) return;
  const role = sqlName(settings.user);
  const schemas = new Set(rows.filter(({ usage }) => !usage).map(({ schema }) => schema));
  yield {
    level: 'warning',
    about: `The role ${settings.user} may not read ${rows.length} of the tables, such as ${rows.slice(0, 3).map(formatTableName).join(', ')}: changes come all the same, rows that exist cannot be counted or read.`,
    fix: [
      ...[...schemas].map((schema) => `GRANT USAGE ON SCHEMA ${sqlName(schema)} TO ${role};`),
      ...rows
        .filter(({ select }) => !select)
        .map((table) => `GRANT SELECT ON TABLE ${sqlTable(table)} TO ${role};`),
    ].join('\n'),
  };
}
