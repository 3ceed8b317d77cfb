import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { RelationDefinition } from '../../../src/events/relation.ts';
import type { ConnectionSettings } from '../connection/connection-settings.ts';
import { sqlName } from '../connection/quoting.ts';
import { SqlSession } from '../connection/sql-session.ts';
import { partitionIdentityProblems } from './partition-identity.ts';
import { readPartitioned, readPublication } from './publication-facts.ts';
import { type PublicationPlan, planPublication } from './publication-plan.ts';
import { type IdentityProblem, identityObstacle } from './replica-identity.ts';

export interface PublicationOptions {
  readonly settings: ConnectionSettings;
  readonly publication: string;
  /** False: only verified. */
  readonly manage: boolean;
  /** What it has to publish. */
  readonly tables: readonly RelationDefinition[];
  readonly signal: AbortSignal;
}

/**
 * Makes the publication publish the tables, or verifies that it does; returns what was changed. Belongs before the slot: changes written while
 * there is no publication cannot be decoded. Throws E_PUBLICATION with the SQL when it may not change anything, E_PRIVILEGE when the role cannot, and
 * E_REPLICA_IDENTITY rather than publish a table whose updates the server would refuse from then on.
 */
export async function preparePublication(options: PublicationOptions): Promise<PublicationPlan> {
  const { settings, publication, manage, tables, signal } = options;
  await using session = new SqlSession({ settings, purpose: 'publication' });
  const facts = await readPublication(session, publication, signal);
  const partitioned = await readPartitioned(session, tables, signal);
  const plan = planPublication({ facts, publication, tables, partitioned, manage });
  if (plan.statements.length === 0) return plan;
  if (!manage) throw incomplete(options, plan);
  requireNone([
    ...plan.added.flatMap((table) => identityObstacle(table) ?? []),
    ...(await partitionIdentityProblems(session, plan.added, () => 'key', signal)),
  ]);
  await execute(session, plan, options);
  return plan;
}

function incomplete({ publication }: PublicationOptions, plan: PublicationPlan): TailraceError {
  return new TailraceError({
    code: 'E_PUBLICATION',
    message: `The publication ${sqlName(publication)} ${plan.reasons.join(', ')}; with manage: false it is left to you.`,
    fix: plan.statements.map((statement) => `${statement};`).join('\n'),
  });
}

function requireNone(problems: readonly IdentityProblem[]): void {
  if (problems.length === 0) return;
  throw new TailraceError({
    code: 'E_REPLICA_IDENTITY',
    message: problems.map(({ about }) => `${about}.`).join(' '),
    fix: problems.map(({ fix }) => fix).join('\n'),
  });
}

async function execute(
  session: SqlSession,
  plan: PublicationPlan,
  options: PublicationOptions,
): Promise<void> {
  const { publication, signal } = options;
  try {
    // All or nothing, also where the role's transactions are read-only by default.
    const sql = ['BEGIN READ WRITE', ...plan.statements, 'COMMIT'].join(';\n');
    await session.query({ sql, doing: `Changing the publication ${publication}`, signal });
  } catch (error) {
    if (!(error instanceof TailraceError) || error.code !== 'E_PRIVILEGE') throw error;
    throw new TailraceError({
      code: 'E_PRIVILEGE',
      message:
        `The role ${sqlName(options.settings.user)} may not change the publication ${sqlName(publication)}, which ${plan.reasons.join(', ')}: ` +
        'that takes CREATE on the database, the publication, and every table that is added.',
      fix: `as the owner of the tables:\n${plan.statements.map((statement) => `${statement};`).join('\n')}\nand source: { manage: false }; or see \`tailrace sql\``,
      cause: error,
    });
  }
}
