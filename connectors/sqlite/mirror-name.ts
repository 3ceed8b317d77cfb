import type { SinkContext } from '../../src/delivery/sink.ts';
import type { Relation } from '../../src/events/relation.ts';

const PLACEHOLDER = /\{([^{}]*)\}/g;
const KNOWN = ['schema', 'table', 'pipeline', 'database'];

/** What is wrong with the template of a mirror's name; undefined when nothing is. */
export function nameTemplateProblem(template: string): string | undefined {
  const unknown = [...template.matchAll(PLACEHOLDER)].find(([, name = '']) => !KNOWN.includes(name));
  if (unknown === undefined) return undefined;
  return `unknown placeholder ${unknown[0]}; there are ${KNOWN.map((name) => `{${name}}`).join(', ')}`;
}

export function mirrorName(
  template: string,
  relation: Pick<Relation, 'schema' | 'table'>,
  context: Pick<SinkContext, 'pipeline' | 'database'>,
): string {
  const values: Readonly<Record<string, string>> = {
    schema: relation.schema,
    table: relation.table,
    pipeline: context.pipeline,
    database: context.database,
  };
  return template.replaceAll(PLACEHOLDER, (_, name: string) => values[name] ?? '');
}
