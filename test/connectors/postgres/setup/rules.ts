import type { TableRule } from '../../../../src/config/pipeline-config.ts';
import { TablePattern } from '../../../../src/config/table-pattern.ts';

/** Rules for patterns, as the configuration would hold them. */
export function rulesFor(...patterns: readonly string[]): TableRule[] {
  return patterns.map((text, i) => ruleFor(text, {}, i));
}

export function ruleFor(text: string, columns: TableRule['columns'], line = 0): TableRule {
  return { pattern: TablePattern.parse(text), columns, mappings: [], where: `tailrace.yaml:${line + 1}:1` };
}
