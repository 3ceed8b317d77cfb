import { formatTableName, type TableName } from '../../../src/config/table-pattern.ts';
import type { RelationDefinition, ReplicaIdentity } from '../../../src/events/relation.ts';
import { sqlTable } from '../connection/quoting.ts';
import type { SqlSession } from '../connection/sql-session.ts';
import type { IdentityNeed, IdentityProblem } from './replica-identity.ts';

interface PartitionRow extends TableName {
  readonly root: number;
  readonly identity: ReplicaIdentity;
  /** A primary key that is not deferrable, or the index it names, is there. */
  readonly logsKey: boolean;
}

const PARTITIONS_QUERY = `
  SELECT wanted.root::oid AS root, n.nspname AS schema, c.relname AS "table",
         CASE c.relreplident WHEN 'd' THEN 'default' WHEN 'f' THEN 'full' WHEN 'i' THEN 'index' ELSE 'nothing' END AS identity,
         EXISTS (SELECT FROM pg_index i
                  WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
                    AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END) AS "logsKey"
    FROM unnest($1::oid[]) AS wanted (root)
   CROSS JOIN LATERAL pg_partition_tree(wanted.root) AS part
    JOIN pg_class c ON c.oid = part.relid
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE part.isleaf AND part.relid <> wanted.root AND c.relkind = 'r'
   ORDER BY wanted.root, 2, 3`;

/**
 * The replica identity that counts is each partition's own; that of the root is only what the server says of it. A partition that logs less than its
 * root promises would have old values arrive as null.
 */
export async function partitionIdentityProblems(
  session: SqlSession,
  tables: readonly RelationDefinition[],
  need: (table: TableName) => IdentityNeed,
  signal: AbortSignal,
): Promise<IdentityProblem[]> {
  const rows = await session.query<PartitionRow>({
    sql: PARTITIONS_QUERY,
    params: [tables.map(({ oid }) => oid)],
    doing: 'Reading the catalog',
    signal,
  });
  return tables.flatMap((root) => {
    const wanted: ReplicaIdentity = need(root) === 'full' ? 'full' : root.replicaIdentity;
    const weak = rows.filter((row) => row.root === root.oid && !isEnough(row, wanted));
    return weak.length === 0 ? [] : problem(root, weak, wanted);
  });
}

function isEnough({ identity, logsKey }: PartitionRow, wanted: ReplicaIdentity): boolean {
  return identity === 'full' || (identity === wanted && logsKey);
}

function problem(root: TableName, weak: readonly PartitionRow[], wanted: ReplicaIdentity): IdentityProblem {
  const names = weak.slice(0, 3).map(formatTableName).join(', ');
  const what = wanted === 'full' ? 'do not log whole old rows' : 'have no replica identity or another one';
  return {
    about: `${weak.length} partitions of ${formatTableName(root)} ${what}, such as ${names}; each partition has a replica identity of its own`,
    fix: weak.map((partition) => `ALTER TABLE ${sqlTable(partition)} REPLICA IDENTITY FULL;`).join('\n'),
  };
}
