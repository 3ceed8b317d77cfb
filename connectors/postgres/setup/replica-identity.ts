import { formatTableName, type TableName } from '../../../src/config/table-pattern.ts';
import { TailraceError } from '../../../src/errors/tailrace-error.ts';
import type { RelationDefinition } from '../../../src/events/relation.ts';
import { sqlTable } from '../connection/quoting.ts';

/** What a sink has to find in the old row of an update or delete: the event key, or all of it. */
export type IdentityNeed = 'key' | 'full';

export interface IdentityProblem {
  /** One sentence without its full stop. */
  readonly about: string;
  /** SQL. */
  readonly fix: string;
}

/**
 * Why the server would refuse the application's updates and deletes of a published table, or undefined.
 * https://www.postgresql.org/docs/current/logical-replication-publication.html#LOGICAL-REPLICATION-PUBLICATION-REPLICA-IDENTITY
 */
export function identityObstacle(table: RelationDefinition): IdentityProblem | undefined {
  const name = formatTableName(table);
  const fix = `ALTER TABLE ${sqlTable(table)} REPLICA IDENTITY FULL;`;
  if (table.replicaIdentity === 'full' || table.columns.some(({ inIdentity }) => inIdentity)) {
    return undefined;
  }
  const why = {
    default: 'it has no primary key',
    nothing: 'its replica identity is NOTHING',
    index: 'the index of its replica identity is gone',
  }[table.replicaIdentity];
  return {
    about: `${name} has no replica identity (${why}): once it is published, the server refuses every UPDATE and DELETE of it, those of your application too`,
    fix,
  };
}

/** What keeps a sink from getting the old row it needs, or undefined. */
export function identityProblem(table: RelationDefinition, need: IdentityNeed): IdentityProblem | undefined {
  const obstacle = identityObstacle(table);
  if (obstacle !== undefined) return obstacle;
  if (table.replicaIdentity === 'full') return undefined;
  const name = formatTableName(table);
  const fix = `ALTER TABLE ${sqlTable(table)} REPLICA IDENTITY`;
  if (need === 'full') {
    return { about: `${name} has to log whole old rows, and logs its key only`, fix: `${fix} FULL;` };
  }
  const missing = table.key.map((i) => table.columns[i]).find((column) => column?.inIdentity === false);
  if (missing === undefined) return undefined;
  return {
    about: `${name} does not log ${JSON.stringify(missing.name)} of its key with deletes: its replica identity is another index`,
    fix: `${fix} DEFAULT;`,
  };
}

/** Throws E_REPLICA_IDENTITY with the SQL for every table whose old rows are not what its sinks need. */
export function requireReplicaIdentities(
  tables: readonly RelationDefinition[],
  need: (table: TableName) => IdentityNeed,
): void {
  const problems = tables.flatMap((table) => identityProblem(table, need(table)) ?? []);
  if (problems.length === 0) return;
  throw new TailraceError({
    code: 'E_REPLICA_IDENTITY',
    message: problems.map(({ about }) => `${about}.`).join(' '),
    fix: problems.map(({ fix }) => fix).join('\n'),
  });
}
