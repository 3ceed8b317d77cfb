import type { Mapping } from '../delivery/sink.ts';
import type { TableRule } from './pipeline-config.ts';

/** Which rule of the configuration a table follows: the one that names it, else the first pattern that matches it. */
export class TableRules {
  readonly #exact = new Map<string, TableRule>();
  readonly #patterns: TableRule[] = [];

  constructor(rules: readonly TableRule[]) {
    for (const rule of rules) {
      const exact = rule.pattern.exact;
      if (exact === undefined) this.#patterns.push(rule);
      else this.#exact.set(JSON.stringify([exact.schema, exact.table]), rule);
    }
  }

  ruleFor(schema: string, table: string): TableRule | undefined {
    return (
      this.#exact.get(JSON.stringify([schema, table])) ??
      this.#patterns.find((rule) => rule.pattern.matches(schema, table))
    );
  }

  mappingsFor(
    relation: { readonly schema: string; readonly table: string },
    sink: string,
  ): readonly Mapping[] {
    return (
      this.ruleFor(relation.schema, relation.table)?.mappings.filter((mapping) => mapping.sink === sink) ?? []
    );
  }
}
