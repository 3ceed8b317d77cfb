import type { SourceFacts } from './source.ts';

/**
 * The `source` of a checkpoint: `<system identifier>/<database oid>#<generation>`. Positions of different sources are never compared.
 * The generation rises when an operator's recovery begins the numbering anew.
 */
export interface SourceIdentity {
  readonly database: string;
  readonly generation: number;
}

export function databaseIdentity(facts: Pick<SourceFacts, 'systemIdentifier' | 'databaseOid'>): string {
  return `${facts.systemIdentifier}/${facts.databaseOid}`;
}

export function formatIdentity(identity: SourceIdentity): string {
  return `${identity.database}#${identity.generation}`;
}

/** Reads what `formatIdentity` writes; text without a generation is generation 1. */
export function identityOf(source: string): SourceIdentity {
  const hash = source.lastIndexOf('#');
  if (hash < 0) return { database: source, generation: 1 };
  return { database: source.slice(0, hash), generation: Number(source.slice(hash + 1)) };
}
