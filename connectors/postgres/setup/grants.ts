import type { TableRule } from '../../../src/config/pipeline-config.ts';
import { formatTableName, type TableName } from '../../../src/config/table-pattern.ts';
import type { RelationDefinition } from '../../../src/events/relation.ts';
import { Catalog } from '../catalog/catalog.ts';
import type { ServerNames } from '../config.ts';
import type { ConnectionSettings } from '../connection/connection-settings.ts';
import { sqlName, sqlTable } from '../connection/quoting.ts';
import { SqlSession } from '../connection/sql-session.ts';
import { partitionIdentityProblems } from './partition-identity.ts';
import { readPartitioned, readPublication } from './publication-facts.ts';
import { createPublication, planPublication } from './publication-plan.ts';
import { type IdentityNeed, identityProblem } from './replica-identity.ts';

/** Everything that decides which privileges a pipeline's role needs. */
export interface GrantsInput {
  readonly role: string;
  readonly database: string;
  readonly manage: boolean;
  readonly tables: readonly OwnedTable[];
  /** SQL without semicolons. */
  readonly publication: readonly string[];
  /** ALTER TABLE ... REPLICA IDENTITY ...; */
  readonly identities: readonly string[];
  /** Rules that stand for no table yet, or could not be looked up. */
  readonly unresolved: readonly string[];
}

export interface OwnedTable extends TableName {
  readonly owner: string;
  readonly ownerIsSuperuser: boolean;
}

export interface ReadGrantsOptions {
  /** Of any role that can connect: the catalog is open to all. */
  readonly settings: ConnectionSettings;
  /** The role that the pipeline will connect as. */
  readonly role: string;
  readonly rules: readonly TableRule[];
  readonly names: ServerNames;
  readonly manage: boolean;
  readonly need: (table: TableName) => IdentityNeed;
  readonly signal: AbortSignal;
}

/** Looks up the tables, their owners and the publication. Throws what Catalog.tables() throws. */
export async function readGrants(options: ReadGrantsOptions): Promise<GrantsInput> {
  const { settings, rules, names, signal, manage, need, role } = options;
  await using catalog = new Catalog({ settings, rules, publication: names.publication });
  await using session = new SqlSession({ settings, purpose: 'sql' });
  const definitions = (await catalog.tables(signal)).map(({ definition }) => definition);
  const { publication } = names;
  const facts = await readPublication(session, publication, signal);
  const partitioned = await readPartitioned(session, definitions, signal);
  const selection = await catalog.select(signal);
  return {
    role,
    database: settings.database,
    manage,
    tables: await readOwners(session, definitions, signal),
    publication: planPublication({ facts, publication, tables: definitions, partitioned, manage }).statements,
    identities: [
      ...definitions.flatMap((table) => identityProblem(table, need(table))?.fix ?? []),
      ...(await partitionIdentityProblems(session, definitions, need, signal)).map(({ fix }) => fix),
    ],
    unresolved: selection.problems.map(({ about }) => about),
  };
}

/** The same without a server: tables that are named are taken as they are named, their owners unknown. */
export function grantsWithoutServer(
  options: Pick<ReadGrantsOptions, 'role' | 'rules' | 'names' | 'manage'> & { readonly database: string },
): GrantsInput {
  const { role, rules, names, manage, database } = options;
  const tables = rules.flatMap(({ pattern }) => pattern.exact ?? []);
  return {
    role,
    database,
    // Whose rights managing would take is not known.
    manage: false,
    tables: tables.map((table) => ({ ...table, owner: role, ownerIsSuperuser: false })),
    publication: [createPublication(names.publication, tables)],
    identities: [],
    unresolved: [
      ...rules.flatMap(({ pattern }) =>
        pattern.exact === undefined ? [`${pattern.text} can be looked up with a connection only`] : [],
      ),
      ...(manage ? ['with a connection, the privileges for manage: true are printed instead'] : []),
    ],
  };
}

/**
 * The exact SQL that gives a role what its pipeline needs and nothing more; to be run in the database by a superuser, or by the tables' owner who may
 * create roles.
 */
export function grantsSql(input: GrantsInput): string {
  const role = sqlName(input.role);
  const schemas = [...new Set(input.tables.map(({ schema }) => schema))];
  return `${[
    `-- The role of Tailrace in database ${input.database}. Choose a password; or ALTER ROLE ${role} LOGIN REPLICATION if it exists.`,
    `CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'change me';`,
    `GRANT CONNECT ON DATABASE ${sqlName(input.database)} TO ${role};`,
    ...schemas.map((schema) => `GRANT USAGE ON SCHEMA ${sqlName(schema)} TO ${role};`),
    ...input.tables.map((table) => `GRANT SELECT ON TABLE ${sqlTable(table)} TO ${role};`),
    ...publicationPart(input, role),
    ...(input.identities.length === 0
      ? []
      : ['', '-- Old rows as the sinks need them.', ...input.identities]),
    ...(input.unresolved.length === 0
      ? []
      : ['', ...input.unresolved.map((about) => `-- Not included: ${about}.`)]),
    '',
    '-- Not needed, but it shows how old the transactions are that a slot waits for:',
    `-- GRANT pg_read_all_stats TO ${role};`,
    `-- pg_hba.conf has to let the role in: host ${hbaName(input.database)} ${hbaName(input.role)} <address> scram-sha-256`,
  ].join('\n')}\n`;
}

/** Only a table's owner can publish it. */
function publicationPart(
  { manage, tables, publication, database, role: name }: GrantsInput,
  role: string,
): string[] {
  const made = publication.map((statement) => `${statement};`);
  if (!manage) {
    return made.length === 0 ? [] : ['', '-- manage: false: the publication is yours to keep.', ...made];
  }
  const beyond = tables.filter(({ ownerIsSuperuser, owner }) => ownerIsSuperuser && owner !== name);
  if (beyond.length > 0) {
    return [
      '',
      `-- Adding tables to the publication takes their owner's rights, and ${beyond.map(formatTableName).slice(0, 5).join(', ')} ` +
        `belongs to a superuser: the publication is made here.`,
      ...made,
    ];
  }
  const owners = [...new Set(tables.map(({ owner }) => owner))].filter((owner) => owner !== name);
  return [
    '',
    '-- manage: true: Tailrace makes the publication and adds tables to it, which takes the rights of their owners.',
    `GRANT CREATE ON DATABASE ${sqlName(database)} TO ${role};`,
    ...owners.map((owner) => `GRANT ${sqlName(owner)} TO ${role};`),
  ];
}

async function readOwners(
  session: SqlSession,
  tables: readonly RelationDefinition[],
  signal: AbortSignal,
): Promise<OwnedTable[]> {
  return session.query<OwnedTable>({
    sql: `SELECT n.nspname AS schema, c.relname AS "table", r.rolname AS owner, r.rolsuper AS "ownerIsSuperuser"
            FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_roles r ON r.oid = c.relowner
           WHERE c.oid = ANY ($1::oid[])
           ORDER BY 1, 2`,
    params: [tables.map(({ oid }) => oid)],
    doing: 'Reading the catalog',
    signal,
  });
}

/** https://www.postgresql.org/docs/current/auth-pg-hba-conf.html */
function hbaName(name: string): string {
  return /^[a-z0-9_]+$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
